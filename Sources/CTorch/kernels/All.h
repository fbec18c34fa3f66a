// Every kernel for one kind of processor. No include guard: `Kernels.cpp` includes it once for each.
#include "Simd.h"
#include "Product.h"
#include "Packing.h"
#include "MixRows.h"
#include "MixColumns.h"

static const Kernels kernels = {
    kPanel, panelsSize, tilesSize, packPanels, packTiles, mixRows, mixColumns,
};
