// The kernels of the processor that runs, for the C++ of CTorch.
#pragma once

#include "Training.h"
#include "Views.h"

namespace ctorch {

/// What `CKernels.h` and `Training.h` offer, for one kind of processor.
struct Kernels {
  const char *name;
  int64_t panelWidth, tileRows;
  int64_t byteGroup, byteSteps;
  bool multipliesPairs;
  int64_t (*panelsSize)(int64_t rows, int64_t depth);
  int64_t (*tilesSize)(int64_t rows, int64_t depth);
  void (*packPanelsOfRows)(const MatrixPacking &);
  void (*packPanelsOfColumns)(const MatrixPacking &);
  void (*packTilesOfRows)(const MatrixPacking &);
  void (*packTilesOfColumns)(const MatrixPacking &);
  int64_t (*strassenPanelsSize)(int64_t rows, int64_t depth);
  void (*packStrassenPanelsOfRows)(const MatrixPacking &);
  void (*packStrassenPanelsOfColumns)(const MatrixPacking &);
  int64_t (*strassenTilesSize)(int64_t rows, int64_t depth);
  void (*packStrassenTilesOfRows)(const MatrixPacking &);
  int64_t (*winogradTilesSize)(int64_t rows, int64_t depth, int64_t side);
  void (*packWinogradTiles)(const float *weight, int64_t rows, int64_t depth, int64_t side, float *packed);
  int64_t (*pairPanelsSize)(int64_t rows, int64_t depth);
  int64_t (*pairTilesSize)(int64_t rows, int64_t depth);
  void (*packPairPanels)(const MatrixPacking &);
  void (*packPairTiles)(const MatrixPacking &);
  int64_t (*bytePanelsSize)(int64_t rows, int64_t depth);
  int64_t (*byteTilesSize)(int64_t rows, int64_t depth);
  void (*packBytePanels)(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                         float *scales, float *sums);
  void (*packByteTiles)(const float *weight, int64_t rows, int64_t depth, int8_t *values,
                        float *scales, float *sums);
  void (*mixRows)(const CTRowMix &);
  void (*mixColumns)(const CTColumnMix &);
  void (*normalizeMaps)(const CTMapNorm &);
  void (*windowMaps)(const CTMapWindows &);
  void (*gatherRuns)(const float *x, const CTRun *runs, int64_t count, float *y);
  void (*gatherNumbers)(const float *x, const int32_t *from, int64_t count, float *y);
  void (*attend)(const Attention &);
  void (*weightedSum)(const WeightedSum &);
  void (*reducedSum)(const ReducedSum &);
  void (*rowGradients)(const RowGradients &);
  void (*gateGradients)(const GateGradients &);
  void (*gateNormGradients)(const GateNormGradients &);
  void (*normGradients)(const NormGradients &);
  void (*columnGradients)(const ColumnGradients &);
  void (*weightGradient)(const WeightGradient &);
  void (*tokenWeightGradient)(const TokenWeightGradient &);
};

const Kernels &kernels();

}  // namespace ctorch
