// Every kernel for one kind of processor. No include guard: `Kernels.cpp` includes it once for each.
#include "Simd.h"
#include "Lanes.h"
#include "Product.h"
#include "Strassen.h"
#include "Packing.h"
#include "Bytes.h"
#include "ColumnPanels.h"
#include "NormalizedMaps.h"
#include "TurnedColumns.h"
#include "MixRows.h"
#include "FewRows.h"
#include "MixRowBytes.h"
#include "MixColumnBytes.h"
#include "MixColumns.h"
#include "WeightedSum.h"
#include "ReducedSum.h"
#include "Gather.h"
#include "MapWindows.h"
#include "Winograd.h"
#include "Attention.h"
#include "RowGradients.h"
#include "ColumnGradients.h"
#include "WeightGradients.h"

static const Kernels kernels = {
    kName,
    kPanel,
    kTileRows,
    kDepth,
    kSteps,
    kMultipliesPairs,
    panelsSize<Singles>,
    tilesSize<Singles>,
    packPanelsOfRows<Singles>,
    packPanelsOfColumns<Singles>,
    packTilesOfRows<Singles>,
    packTilesOfColumns,
    panelsSize<Strassen>,
    packPanelsOfRows<Strassen>,
    packPanelsOfColumns<Strassen>,
    tilesSize<Strassen>,
    packTilesOfRows<Strassen>,
    winogradTilesSize,
    packWinogradTiles,
    panelsSize<Pairs>,
    tilesSize<Pairs>,
    packPanelsOfRows<Pairs>,
    packTilesOfRows<Pairs>,
    bytePanelsSize,
    byteTilesSize,
    packBytePanels,
    packByteTiles,
    mixRows,
    mixColumns,
    normalizeMaps,
    windowMaps,
    gatherRuns,
    gatherNumbers,
    attend,
    weightedSum,
    reducedSum,
    rowGradients,
    gateGradients,
    gateNormGradients,
    normGradients,
    columnGradients,
    weightGradient,
    tokenWeightGradient,
};
