extension Operator {
  static let add = Operator("add", "Tensor")
  static let addScalar = Operator("add", "Scalar")
  static let sub = Operator("sub", "Tensor")
  static let subScalar = Operator("sub", "Scalar")
  static let rsub = Operator("rsub", "Scalar")
  static let mul = Operator("mul", "Tensor")
  static let mulScalar = Operator("mul", "Scalar")
  static let addProduct = Operator("addcmul")
  static let div = Operator("div", "Tensor")
  static let divScalar = Operator("div", "Scalar")
  static let neg = Operator("neg")
  static let pow = Operator("pow", "Tensor_Scalar")
  static let exp = Operator("exp")
  static let log = Operator("log")
  static let sqrt = Operator("sqrt")
  static let abs = Operator("abs")
  static let erf = Operator("erf")
  static let inverseErf = Operator("erfinv")
  static let clamp = Operator("clamp")
  static let equal = Operator("eq", "Tensor")
  static let equalScalar = Operator("eq", "Scalar")
  static let greaterScalar = Operator("gt", "Scalar")
  static let isFinite = Operator("isfinite")
  static let addInPlace = Operator("add_", "Tensor")
  static let addScalarInPlace = Operator("add_", "Scalar")
  static let mulInPlace = Operator("mul_", "Tensor")
  static let mulScalarInPlace = Operator("mul_", "Scalar")
}

/// Elementwise arithmetic with broadcasting.
extension Tensor {
  public static func + (a: Tensor, b: Tensor) -> Tensor { Operator.add(a, b) }
  public static func + (a: Tensor, b: Double) -> Tensor { Operator.addScalar(a, b) }
  public static func + (a: Double, b: Tensor) -> Tensor { Operator.addScalar(b, a) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { Operator.sub(a, b) }
  public static func - (a: Tensor, b: Double) -> Tensor { Operator.subScalar(a, b) }
  public static func - (a: Double, b: Tensor) -> Tensor { Operator.rsub(b, a) }
  public static func * (a: Tensor, b: Tensor) -> Tensor { Operator.mul(a, b) }
  public static func * (a: Tensor, b: Double) -> Tensor { Operator.mulScalar(a, b) }
  public static func * (a: Double, b: Tensor) -> Tensor { Operator.mulScalar(b, a) }
  public static func / (a: Tensor, b: Tensor) -> Tensor { Operator.div(a, b) }
  public static func / (a: Tensor, b: Double) -> Tensor { Operator.divScalar(a, b) }
  public static prefix func - (a: Tensor) -> Tensor { Operator.neg(a) }

  /// `self + a * b` in one pass.
  public func adding(_ a: Tensor, times b: Tensor) -> Tensor { Operator.addProduct(self, a, b) }

  public func pow(_ exponent: Double) -> Tensor { Operator.pow(self, exponent) }
  public func exp() -> Tensor { Operator.exp(self) }
  public func log() -> Tensor { Operator.log(self) }
  public func sqrt() -> Tensor { Operator.sqrt(self) }
  public func abs() -> Tensor { isOutline ? outline(shape) : Operator.abs(self) }
  public func erf() -> Tensor { Operator.erf(self) }
  public func inverseErf() -> Tensor { Operator.inverseErf(self) }
  public func clamped(to range: ClosedRange<Double>) -> Tensor {
    Operator.clamp(self, range.lowerBound, range.upperBound)
  }

  /// Where the elements are equal (bool).
  public func equal(_ other: Tensor) -> Tensor { Operator.equal(self, other) }
  public func equal(_ value: Double) -> Tensor { Operator.equalScalar(self, value) }
  public func greater(_ value: Double) -> Tensor { Operator.greaterScalar(self, value) }
  /// Where the elements are neither infinite nor NaN (bool).
  public func isFinite() -> Tensor { Operator.isFinite(self) }
}

/// Arithmetic that writes to this tensor's memory.
extension Tensor {
  /// `self += scale * other`
  @discardableResult
  public func addInPlace(_ other: Tensor, scale: Double = 1) -> Tensor {
    Operator.addInPlace(self, other, scale)
  }

  @discardableResult
  public func addInPlace(_ value: Double) -> Tensor { Operator.addScalarInPlace(self, value) }

  @discardableResult
  public func addInPlace(_ value: Int) -> Tensor { Operator.addScalarInPlace(self, value) }

  @discardableResult
  public func multiplyInPlace(_ other: Tensor) -> Tensor { Operator.mulInPlace(self, other) }

  @discardableResult
  public func multiplyInPlace(_ factor: Double) -> Tensor {
    Operator.mulScalarInPlace(self, factor)
  }
}
