import Torch

/// One of the few Python functions and classes that a file of weights may name.
///
/// None of them is ever called: each stands for what Mingle makes of it by itself. Any other name is
/// refused, wherever in the file it is.
struct PickleGlobal {
  enum Role {
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride, ...)`, also version 2.
    case tensor
    /// Version 3: the storage is untyped, the dtype the seventh argument.
    case typedTensor
    /// `(tensor, ...)`: the tensor.
    case parameter
    /// `(function, type, arguments, state)`: a tensor with Python attributes.
    case tensorWithAttributes
    /// A function that returns its first argument: what libtorch writes around containers.
    case same
    /// Sparse or quantised tensors, which are not read.
    case foreignTensor
    /// The class of a tensor.
    case tensorClass
    /// The class of a storage; nil for elements that are not read.
    case storage(DType?)
    /// A dtype; nil for one that is not read.
    case dtype(DType?)
    /// A class like `dict`.
    case dictionary
    /// A class like `list`.
    case sequence
    /// What makes bytes out of a text.
    case bytes
    /// A class whose objects hold no weights.
    case inert
  }

  let name: String
  let role: Role

  /// Looks a name up; nil for one that no file of weights needs.
  init?(module: String, name: String) {
    var module = module
    for (old, new) in Self.movedModules where module.hasPrefix(old) {
      module = new + module.dropFirst(old.count)
    }
    let full = "\(module).\(name)"
    guard let role = Self.roles[full] else { return nil }
    self.name = full
    self.role = role
  }

  /// Modules that other versions of Python and NumPy have under another name.
  private static let movedModules = [
    ("__builtin__", "builtins"), ("copy_reg", "copyreg"), ("numpy._core.", "numpy.core."),
    ("pathlib._local", "pathlib"),
  ]

  private static let roles: [String: Role] = {
    var roles: [String: Role] = [
      "torch._utils._rebuild_tensor": .tensor,
      "torch._utils._rebuild_tensor_v2": .tensor,
      "torch._utils._rebuild_tensor_v3": .typedTensor,
      "torch._utils._rebuild_parameter": .parameter,
      "torch._utils._rebuild_parameter_with_state": .parameter,
      "torch._tensor._rebuild_from_type_v2": .tensorWithAttributes,
      "torch._utils._rebuild_qtensor": .foreignTensor,
      "torch._utils._rebuild_sparse_tensor": .foreignTensor,
      "torch.jit._pickle.restore_type_tag": .same,
      "torch.jit._pickle.build_boollist": .same,
      "torch.jit._pickle.build_doublelist": .same,
      "torch.jit._pickle.build_intlist": .same,
      "torch.jit._pickle.build_tensorlist": .same,
      "torch.Tensor": .tensorClass,
      "torch.nn.parameter.Parameter": .tensorClass,
      "torch.nn.parameter.Buffer": .tensorClass,
      "torch.UntypedStorage": .storage(.uint8),
      "torch.storage.UntypedStorage": .storage(.uint8),
      "torch.Size": .sequence,
      "_codecs.encode": .bytes,
      "builtins.bytearray": .bytes,
      "builtins.bytes": .bytes,
    ]
    for (name, dtype) in storages {
      roles["torch.\(name)Storage"] = .storage(dtype)
      roles["torch.cuda.\(name)Storage"] = .storage(dtype)
    }
    for dtype in DType.allCases { roles["torch.\(dtype.name)"] = .dtype(dtype) }
    for name in foreignDTypes { roles["torch.\(name)"] = .dtype(nil) }
    for name in dictionaries { roles[name] = .dictionary }
    for name in sequences { roles[name] = .sequence }
    for name in inert { roles[name] = .inert }
    return roles
  }()

  private static let storages: [(String, DType?)] = [
    ("Double", .float64), ("Float", .float32), ("Half", .float16), ("BFloat16", .bfloat16),
    ("Long", .int64), ("Int", .int32), ("Short", .int16), ("Char", .int8), ("Byte", .uint8),
    ("Bool", .bool), ("ComplexDouble", nil), ("ComplexFloat", nil), ("QUInt8", nil),
    ("QInt8", nil), ("QInt32", nil), ("QUInt4x2", nil), ("QUInt2x4", nil),
  ]

  private static let foreignDTypes = [
    "uint16", "uint32", "uint64", "complex32", "complex64", "complex128", "float8_e4m3fn",
    "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "qint8", "quint8",
    "qint32", "quint4x2", "quint2x4",
  ]

  private static let dictionaries = [
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict",
    // Settings that training programs save beside the weights.
    "yacs.config.CfgNode", "easydict.EasyDict", "addict.addict.Dict",
  ]

  private static let sequences = [
    "builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque",
  ]

  /// What training programs save beside the weights: their arguments, figures, times and paths.
  private static let inert = [
    "argparse.Namespace", "types.SimpleNamespace", "copyreg._reconstructor",
    "builtins.bool", "builtins.complex", "builtins.float", "builtins.int", "builtins.object",
    "builtins.range", "builtins.slice", "builtins.str",
    "datetime.date", "datetime.datetime", "datetime.timedelta", "datetime.timezone",
    "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer", "numpy.dtype", "numpy.ndarray",
    "pathlib.Path", "pathlib.PosixPath", "pathlib.PurePath", "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath", "pathlib.WindowsPath",
    "torch.device", "torch.torch_version.TorchVersion",
    // What tensors of other kinds are described with.
    "torch.serialization._get_layout", "torch.per_channel_affine",
    "torch.per_channel_affine_float_qparams", "torch.per_channel_symmetric",
    "torch.per_tensor_affine", "torch.per_tensor_symmetric",
  ]
}
