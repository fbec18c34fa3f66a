import Torch

/// Operators on lists of tensors: element i of each list belongs together.
extension Operator {
  static let fusedSGD = Operator("_fused_sgd_")
  static let listAddInPlace = Operator("_foreach_add_", "List")
  static let listAddScalarInPlace = Operator("_foreach_add_", "Scalar")
  static let listMultiplyScalarInPlace = Operator("_foreach_mul_", "Scalar")
  static let listDivide = Operator("_foreach_div", "List")
  static let listDivideScalarInPlace = Operator("_foreach_div_", "Scalar")
  static let listSquareRoot = Operator("_foreach_sqrt")
  static let listInterpolateInPlace = Operator("_foreach_lerp_", "Scalar")
  static let listAddProductInPlace = Operator("_foreach_addcmul_", "Scalar")
  static let listNorm = Operator("_foreach_norm", "Scalar")
  static let listCopyInPlace = Operator("_foreach_copy_")
  static let unbind = Operator("unbind", "int")
  static let whereOrScalar = Operator("where", "ScalarOther")
}
