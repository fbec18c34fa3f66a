// Every kernel for one kind of processor. No include guard: `Kernels.cpp` includes it once for each.
#include "Simd.h"
#include "Product.h"
#include "Packing.h"
#include "Bytes.h"
#include "MixRows.h"
#include "MixRowBytes.h"
#include "MixColumnBytes.h"
#include "MixColumns.h"

static const Kernels kernels = {
    kPanel,         kDepth,        panelsSize,     tilesSize,     packPanels, packTiles,
    bytePanelsSize, byteTilesSize, packBytePanels, packByteTiles, mixRows,    mixColumns,
};
