import Mingle

let picture = Tensor((0..<12).map(Float.init), shape: [3, 2, 2])
print("shape \(picture.shape), sum \(picture.sum().array(of: Float.self))")
