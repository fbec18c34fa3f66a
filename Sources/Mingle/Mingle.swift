@_exported import Checkpoints
@_exported import Data
@_exported import Inference
@_exported import Layers
@_exported import Models
@_exported import Torch
@_exported import Training
