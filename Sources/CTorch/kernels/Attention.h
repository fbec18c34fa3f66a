// Attention of heads to keys. No include guard: included once for each kind of processor, after Packing.h.
//
// Queries are the columns of a panel: the scores of a panel's queries, a row for each key, come from a product
// with tiles of keys. So their softmax goes down the columns, without sums across a register, and is then
// itself the panel that tiles of values are multiplied with. Scores never leave the caches.

/// The keys and values of one head, packed: tiles of keys [depth][kTileRows], of the values' columns
/// [keys][kTileRows].
struct PackedHead {
  int64_t keyTiles, keyStride, valueTiles, valueStride;
  float *keys, *values;

  PackedHead(const Attention &of, Scratch &scratch)
      : keyTiles(tileCount(of.keys)), keyStride(tileStride(of.depth)), valueTiles(tileCount(of.width)),
        valueStride(tileStride(of.keys)), keys(scratch.floats(0, keyTiles * keyStride)),
        values(scratch.floats(1, valueTiles * valueStride)) {}

  void pack(const Attention &of, const float *k, const float *v) const {
    for (int64_t i = 0; i < keyTiles; ++i) {
      int64_t first = tileStart(of.keys, keyTiles, i), end = tileStart(of.keys, keyTiles, i + 1);
      packColumns(end - first, of.depth, keys + i * keyStride, [&](int r, int64_t d) {
        return loadUpTo(k + (first + r) * of.k.row + d, of.depth - d);
      });
    }
    for (int64_t i = 0; i < valueTiles; ++i) {
      int64_t first = tileStart(of.width, valueTiles, i);
      float *tile = values + i * valueStride;
      for (int64_t key = 0; key < of.keys; ++key) {
        for (int r = 0; r < kTileRows && first + r < of.width; r += kWidth) {
          store(tile + key * kTileRows + r, loadUpTo(v + key * of.v.row + first + r, of.width - first - r));
        }
      }
    }
  }
};

/// `results` [rows][kPanel] = tiles . panel [lanes][kPanel], for `columns` that matter.
INLINE void multiplyTiles(const float *tiles, int64_t stride, int64_t rows, const float *panel, int64_t lanes,
                          int64_t columns, float *results) {
  int64_t count = tileCount(rows);
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = tileStart(rows, count, i), end = tileStart(rows, count, i + 1);
    const float *tile = tiles + i * stride;
    productOf<Singles>(static_cast<int>(end - first), columns)(
        tile, panel, lanes, results + first * kPanel, false, nullptr, false, tile + stride);
  }
}

/// Makes scores [keys][kPanel] in base 2 their exponentials, over the largest of each column.
///
/// - Returns: the reciprocals of the columns' sums; no numbers where a score is none or infinite, zeros where no
///   key counts, whose scores are all minus infinity.
static Wide exponentiate(const Attention &of, const float *bias, int64_t count, float *scores) {
  const Wide base = splat<Wide>(1.44269504f);
  Wide most = splat<Wide>(-INFINITY), sum = splat<Wide>(0), none = splat<Wide>(0);
  for (int64_t key = 0; key < of.keys; ++key) {
    Wide s = load<Wide>(scores + key * kPanel);
    if (bias) {
      s = fma(loadUpTo<Wide>(bias + key * of.bias.row, count), base, s);
      store(scores + key * kPanel, s);
    }
    none = s != s ? s : none;
    most = max(s, most);
  }
  for (int64_t key = 0; key < of.keys; ++key) {
    Wide p = powerOfTwo(load<Wide>(scores + key * kPanel) - most);
    store(scores + key * kPanel, p);
    sum += p;
  }
  const Wide infinity = splat<Wide>(INFINITY);
  none = most == infinity ? most - most : none;
  Wide share = splat<Wide>(1) / (sum + none);
  return most == -infinity ? none : share;
}

/// The results of a panel of queries from `first` on: `q`, `bias` and `y` are the head's.
static void attendPanel(const Attention &of, const PackedHead &head, const float *q, const float *bias,
                        int64_t first, float *y, Scratch &scratch) {
  int64_t count = std::min<int64_t>(kPanel, of.queries - first);
  float *panel = scratch.floats(2, of.depth * kPanel), *scores = scratch.floats(3, of.keys * kPanel);
  float *results = scratch.floats(4, (of.width + kWidth) * kPanel);
  const Vec scale = splat(of.scale * 1.44269504f);
  packPanelOfRows(count, of.depth, panel, [&](int r, int64_t d) {
    return loadUpTo(q + (first + r) * of.q.row + d, of.depth - d) * scale;
  });
  multiplyTiles(head.keys, head.keyStride, of.keys, panel, of.depth, count, scores);
  Wide share = exponentiate(of, bias ? bias + first : nullptr, count, scores);
  multiplyTiles(head.values, head.valueStride, of.width, scores, of.keys, count, results);
  Vec shares[kWide];
  __builtin_memcpy(shares, &share, sizeof share);
  for (int64_t half = 0; half < count; half += kWidth) {
    for (int64_t w = 0; w < of.width; w += kWidth) {
      Vec block[kWidth];
#pragma clang loop unroll(full)
      for (int i = 0; i < kWidth; ++i) {
        block[i] = load(results + (w + i) * kPanel + half) * shares[half / kWidth];
      }
      transpose(block);
      for (int64_t i = 0; i < std::min<int64_t>(kWidth, count - half); ++i) {
        storeUpTo(y + (first + half + i) * of.y.row + w, block[i], of.width - w);
      }
    }
  }
}

static void attend(const Attention &of) {
  // Few heads are shared, and packed by each thread.
  int64_t heads = of.batch * of.heads, threads = at::get_num_threads(), panels = panelCount(of.queries);
  int64_t parts = heads % threads == 0 || heads >= 8 * threads ? 1 : std::min(threads, panels);
  parallelFor(heads * parts, [&](int64_t task) {
    Scratch &scratch = Scratch::ofThread();
    int64_t batch = task / parts / of.heads, head = task / parts % of.heads, part = task % parts;
    auto at = [&](const HeadStrides &strides) { return batch * strides.batch + head * strides.head; };
    PackedHead packed(of, scratch);
    packed.pack(of, of.keysAt + at(of.k), of.valuesAt + at(of.v));
    for (int64_t i = panels * part / parts; i < panels * (part + 1) / parts; ++i) {
      attendPanel(of, packed, of.queriesAt + at(of.q), of.biasAt ? of.biasAt + at(of.bias) : nullptr,
                  i * kPanel, of.resultsAt + at(of.y), scratch);
    }
  });
}
