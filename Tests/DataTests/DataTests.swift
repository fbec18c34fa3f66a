import Data
import Testing
