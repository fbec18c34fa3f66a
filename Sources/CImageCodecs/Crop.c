// The resize of random crops: columns first, then rows, in floats, up to a model's normalised input.
//
// Nothing is rounded to bytes on the way. Products and sums are kept apart (no fused operations), in
// an order that does not depend on the vectors' width: every machine computes the same numbers.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "Kernels.h"

#pragma STDC FP_CONTRACT OFF

// One object file for all processors: the passes are compiled for wider vectors too, and the loader
// chooses.
#if defined(__x86_64__) && defined(__GLIBC__)
#define EVERY_WIDTH __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_WIDTH
#endif

typedef float Pixel __attribute__((vector_size(16)));  // red, green, blue, and nothing

/// Output rows made at once: a vector holds one pixel of each.
#define ROWS 4
typedef float Column __attribute__((vector_size(ROWS * sizeof(Pixel))));
typedef uint8_t FourPixels __attribute__((vector_size(16)));

/// Columns made at once in the pass over rows; the source may be read that far beyond its end.
#define STEP 8

// MARK: Weights

/// The sources of each output along one axis: `weights[i * taps ...]` from `first[i]` on. All outputs
/// have as many, some of them 0: loops of one length are foreseen by the processor.
typedef struct {
  int32_t taps;
  int32_t *first;
  float *weights;
} Axis;

static void release(Axis *axis) {
  free(axis->first);
  free(axis->weights);
}

static int32_t bounded(double value, int32_t least, int32_t most) {
  return value < least ? least : value > most ? most : (int32_t)value;
}

/// Weights when `length` of `size` pixels, from `start` on, become `count`; the kernel is cut off
/// where the part ends.
static int make_axis(Axis *axis, int32_t size, double start, double length, int32_t count,
                     int mirrored, CIFilter filter) {
  double scale = length / count;
  double stretch = scale < 1 ? 1 : scale;
  double radius = kernel_radius(filter) * stretch;
  int32_t least = (int32_t)floor(start), most = (int32_t)fmin(ceil(start + length), size);
  axis->taps = (int32_t)fmin(ceil(2 * radius) + 1, most - least);
  axis->first = malloc((size_t)count * sizeof *axis->first);
  axis->weights = calloc((size_t)count * (size_t)axis->taps, sizeof *axis->weights);
  double *exact = malloc((size_t)axis->taps * sizeof *exact);
  int done = axis->first && axis->weights && exact;
  for (int32_t i = 0; done && i < count; i++) {
    double centre = start + (i + 0.5) * scale, sum = 0;
    int32_t begin = bounded(floor(centre - radius + 0.5), least, most - 1);
    int32_t end = bounded(floor(centre + radius + 0.5), begin + 1, most);
    for (int32_t k = begin; k < end; k++) {
      exact[k - begin] = kernel_value(filter, (k + 0.5 - centre) / stretch);
      sum += exact[k - begin];
    }
    int32_t output = mirrored ? count - 1 - i : i;
    int32_t first = begin < most - axis->taps ? begin : most - axis->taps;
    float *weights = axis->weights + (size_t)output * (size_t)axis->taps + (begin - first);
    for (int32_t k = 0; k < end - begin; k++) {
      weights[k] = (float)(sum != 0 ? exact[k] / sum : 1.0 / (end - begin));
    }
    axis->first[output] = first;
  }
  free(exact);
  return done ? 0 : -1;
}

// MARK: Passes

/// The rows of pixels of four bytes that a resize reads.
typedef struct {
  const uint8_t *pixels;
  size_t rowBytes;
  int32_t width;
} Rows;

/// Adds up eight pixels of `taps` rows, from `pixels` on.
static inline void blend(const uint8_t *pixels, size_t rowBytes, const float *weights,
                         int32_t taps, Column *left, Column *right) {
  Column sums[2] = {{0}, {0}};
  for (int32_t k = 0; k < taps; k++, pixels += rowBytes) {
    FourPixels bytes[2];
    memcpy(bytes, pixels, sizeof bytes);
    sums[0] += __builtin_convertvector(bytes[0], Column) * weights[k];
    sums[1] += __builtin_convertvector(bytes[1], Column) * weights[k];
  }
  *left = sums[0];
  *right = sums[1];
}

/// From four pixels of each of four rows, the columns.
static inline void put_columns(const Column rows[ROWS], Column *output) {
  Column a = __builtin_shufflevector(rows[0], rows[1], 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20,
                                     21, 22, 23);
  Column b = __builtin_shufflevector(rows[2], rows[3], 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20,
                                     21, 22, 23);
  Column c = __builtin_shufflevector(rows[0], rows[1], 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14,
                                     15, 28, 29, 30, 31);
  Column d = __builtin_shufflevector(rows[2], rows[3], 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14,
                                     15, 28, 29, 30, 31);
  output[0] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22,
                                      23);
  output[1] = __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29,
                                      30, 31);
  output[2] = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22,
                                      23);
  output[3] = __builtin_shufflevector(c, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29,
                                      30, 31);
}

/// Output rows `y ..< y + ROWS` (none after `last`) before the pass over columns; `output` has room
/// for the source's columns, rounded up to whole steps.
EVERY_WIDTH static void blend_rows(const Rows *source, const Axis *down, int32_t y, int32_t last,
                                   Column *output) {
  const uint8_t *pixels[ROWS];
  const float *weights[ROWS];
  for (int32_t r = 0; r < ROWS; r++) {
    size_t row = (size_t)(y + r < last ? y + r : last);
    pixels[r] = source->pixels + (size_t)down->first[row] * source->rowBytes;
    weights[r] = down->weights + row * (size_t)down->taps;
  }
  size_t rowBytes = source->rowBytes;
  for (int32_t x = 0; x < source->width; x += STEP) {
    Column left[ROWS], right[ROWS];
    for (int32_t r = 0; r < ROWS; r++) {
      blend(pixels[r] + 4 * (size_t)x, rowBytes, weights[r], down->taps, &left[r], &right[r]);
    }
    put_columns(left, output + x);
    put_columns(right, output + x + STEP / 2);
  }
}

/// The pass over columns, clipped to 0 ... 255.
EVERY_WIDTH static void blend_columns(const Column *columns, const Axis *across, int32_t count,
                                      Column *output) {
  const Column black = {0};
  const Column white = black + 255;
  const float *weights = across->weights;
  for (int32_t i = 0; i < count; i++, weights += across->taps) {
    const Column *column = columns + across->first[i];
    Column sum = {0};
    for (int32_t k = 0; k < across->taps; k++) sum += column[k] * weights[k];
    output[i] = __builtin_elementwise_min(__builtin_elementwise_max(sum, black), white);
  }
}

// MARK: Outputs

/// Where the rows go.
typedef struct {
  const float *scale;
  const float *shift;
  float *floats;  // planes, or
  uint8_t *bytes;
} Sink;

static Pixel pixel_at(const Column *columns, int32_t x, int32_t row) {
  Pixel pixel;
  memcpy(&pixel, (const char *)(columns + x) + (size_t)row * sizeof pixel, sizeof pixel);
  return pixel;
}

static float luma(Pixel pixel) {
  return 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2];
}

/// Row `row` of the columns becomes row `y` of the planes.
static void put_floats(const Column *columns, int32_t row, const CIResized *target, int32_t y,
                       const Sink *sink) {
  int32_t width = target->width, x = 0;
  size_t plane = (size_t)width * (size_t)target->height;
  float *output = sink->floats + (size_t)y * (size_t)width;
  if (target->channels == 1) {
    for (; x < width; x++) {
      output[x] = luma(pixel_at(columns, x, row)) * sink->scale[0] + sink->shift[0];
    }
    return;
  }
  const Pixel scale = {sink->scale[0], sink->scale[1], sink->scale[2], 0};
  const Pixel shift = {sink->shift[0], sink->shift[1], sink->shift[2], 0};
  for (; x + 4 <= width; x += 4) {
    Pixel a = pixel_at(columns, x, row) * scale + shift;
    Pixel b = pixel_at(columns, x + 1, row) * scale + shift;
    Pixel c = pixel_at(columns, x + 2, row) * scale + shift;
    Pixel d = pixel_at(columns, x + 3, row) * scale + shift;
    Pixel ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    Pixel cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    Pixel red = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    Pixel green = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    Pixel blue = __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 6, 2, 6),
                                         __builtin_shufflevector(c, d, 2, 6, 2, 6), 0, 1, 4, 5);
    memcpy(output + x, &red, sizeof red);
    memcpy(output + plane + x, &green, sizeof green);
    memcpy(output + 2 * plane + x, &blue, sizeof blue);
  }
  for (; x < width; x++) {
    Pixel pixel = pixel_at(columns, x, row) * scale + shift;
    for (int c = 0; c < 3; c++) output[(size_t)c * plane + (size_t)x] = pixel[c];
  }
}

static void put_bytes(const Column *columns, int32_t row, const CIResized *target, int32_t y,
                      const Sink *sink) {
  uint8_t *output = sink->bytes + (size_t)y * (size_t)target->width * (size_t)target->channels;
  for (int32_t x = 0; x < target->width; x++) {
    Pixel pixel = pixel_at(columns, x, row);
    if (target->channels == 1) {
      *output++ = (uint8_t)(luma(pixel) + 0.5f);
    } else {
      for (int c = 0; c < 3; c++) *output++ = (uint8_t)(pixel[c] + 0.5f);
    }
  }
}

// MARK: The resize

/// A copy with four bytes for each pixel, gray repeated; NULL when memory is short.
static uint8_t *widened(const CISource *source) {
  size_t count = (size_t)source->width * (size_t)source->height;
  uint8_t *copy = malloc(4 * count + CI_SLACK), *output = copy;
  if (!copy) return NULL;
  memset(copy + 4 * count, 0, CI_SLACK);
  size_t green = source->channels == 3 ? 1 : 0, blue = source->channels == 3 ? 2 : 0;
  for (int32_t y = 0; y < source->height; y++) {
    const uint8_t *pixel = source->pixels + (size_t)y * source->rowBytes;
    for (int32_t x = 0; x < source->width; x++, pixel += source->channels, output += 4) {
      output[0] = pixel[0];
      output[1] = pixel[green];
      output[2] = pixel[blue];
      output[3] = 0;
    }
  }
  return copy;
}

static int resize_rows(const Rows *source, const Axis *across, const Axis *down,
                       const CIResized *target, const Sink *sink) {
  size_t steps = ((size_t)source->width + STEP - 1) / STEP;
  Column *columns = aligned_alloc(sizeof(Column), steps * STEP * sizeof(Column));
  Column *resized = aligned_alloc(sizeof(Column), (size_t)target->width * sizeof(Column));
  int done = columns && resized;
  for (int32_t y = 0; done && y < target->height; y += ROWS) {
    blend_rows(source, down, y, target->height - 1, columns);
    blend_columns(columns, across, target->width, resized);
    for (int32_t r = 0; r < ROWS && y + r < target->height; r++) {
      if (sink->floats) {
        put_floats(resized, r, target, y + r, sink);
      } else {
        put_bytes(resized, r, target, y + r, sink);
      }
    }
  }
  free(columns);
  free(resized);
  return done ? 0 : -1;
}

static int resize(const CIArea *area, const CIResized *target, CIFilter filter, const Sink *sink) {
  const CISource *source = &area->source;
  Rows rows = {source->pixels, source->rowBytes, source->width};
  uint8_t *copy = NULL;
  if (source->channels != 4) {
    rows.pixels = copy = widened(source);
    rows.rowBytes = 4 * (size_t)source->width;
  }
  Axis across = {0}, down = {0};
  int result = -1;
  if (rows.pixels &&
      make_axis(&across, source->width, area->left, area->width, target->width, target->mirrored,
                filter) == 0 &&
      make_axis(&down, source->height, area->top, area->height, target->height, 0, filter) == 0) {
    result = resize_rows(&rows, &across, &down, target, sink);
  }
  free(copy);
  release(&across);
  release(&down);
  return result;
}

int ci_resize_to_floats(const CIArea *area, const CIResized *target, CIFilter filter,
                        const float *scale, const float *shift, float *output) {
  Sink sink = {.scale = scale, .shift = shift, .floats = output};
  return resize(area, target, filter, &sink);
}

int ci_resize_to_bytes(const CIArea *area, const CIResized *target, CIFilter filter,
                       uint8_t *output) {
  Sink sink = {.bytes = output};
  return resize(area, target, filter, &sink);
}
