/// For each family the settings that make its models small enough for a test, with an image size that
/// is not square where the family allows one; those for text read 12 tokens of a vocabulary of 50.
public enum SmallModels {
  /// By family's name.
  public static let settings: [String: [String: String]] = [
    "MLP-Mixer": patches, "gMLP": patches, "ResMLP": patches,
    "AS-MLP": ["image_size": "32x48", "depths": "1,2,1", "dim": "8"],
    "Sparse-MLP": patches.merging([
      "sparse_depth": "1", "sparse_tokens": "40", "sparse_dim": "16", "token_experts": "3",
      "channel_experts": "2", "channel_top_k": "1", "expert_tokens_hidden": "24",
      "expert_channels_hidden": "32",
    ]) { $1 },
    "Hire-MLP": ["image_size": "36x60", "depths": "1,2,3,1", "dims": "8,12,16,20"],
    "ResNet": ["image_size": "32x48", "depths": "1,2,1,1", "dims": "8,8,12,16", "stem_dim": "8"],
    "EfficientNet": [
      "image_size": "32x48", "width_multiplier": "0.25", "depth_multiplier": "0.4",
    ],
    "NFNet": [
      "image_size": "32x48", "depths": "1,2", "dims": "32,48", "group_size": "8",
      "stem_dim": "16", "feature_dim": "64",
    ],
    "ViT": heads, "DeiT": heads,
    "Swin": [
      "image_size": "32x48", "depths": "2,2", "dim": "16", "heads": "2,4", "window_size": "4",
    ],
    "Vision Permutator": [
      "image_size": "32", "patch_size": "4", "depths": "1,1,2,1", "dims": "16,32,32,32",
      "segments": "8,4,4,4", "transitions": "true,false,false,false",
    ],
    "RaftMLP": [
      "image_size": "32x48", "patch_sizes": "4,2,2,2", "kernels": "4+8,2+4,2+4,2",
      "depths": "1,1,2,1", "dims": "16,32,48,64", "raft_sizes": "2,2,4,2",
    ],
    "gMLP (text)": text, "aMLP (text)": text.merging(["attention_dim": "8"]) { $1 },
    "BERT": text.merging(["heads": "4"]) { $1 },
    "MLP-Mixer (text)": text.merging(["token_ffn_dim": "10"]) { $1 },
  ]
  private static let text = [
    "vocabulary": "50", "sequence_length": "12", "depth": "2", "dim": "16", "ffn_dim": "24",
  ]
  private static let patches = [
    "image_size": "32x48", "patch_size": "8", "depth": "2", "dim": "32",
  ]
  private static let heads = patches.merging(["heads": "4"]) { $1 }
}
