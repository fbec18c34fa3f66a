/// The multiple of 8 that is nearest to `channels`, at least 8 and not below `limit` of them: how
/// Google's mobile networks and those after them round scaled widths.
func roundedChannels(_ channels: Double, limit: Double = 0.9) -> Int {
  let nearest = max(8, Int(channels + 4) / 8 * 8)
  return Double(nearest) < limit * channels ? nearest + 8 : nearest
}
