// The antialiased resize: two passes of weighted sums in fixed point.
#include <math.h>
#include <stdlib.h>

#include "Kernels.h"

/// Weights are integers of 2^-22: 255 times their sum (at most 1.3 in magnitude) fits 31 bits.
#define FRACTION_BITS 22

/// The sources of each output along one axis: `weights[i * taps ...]` from `first[i]` on.
typedef struct {
  int32_t taps;
  int32_t *first;
  int32_t *lengths;
  int32_t *weights;
} Axis;

static void release(Axis *axis) {
  free(axis->first);
  free(axis->lengths);
  free(axis->weights);
}

/// Weights of outputs `start ..< start + count` when `size` pixels become `resized`.
static int make_axis(Axis *axis, int32_t size, int64_t resized, int64_t start, int32_t count,
                     CIFilter filter) {
  double scale = (double)size / (double)resized;
  double stretch = scale < 1 ? 1 : scale;
  double radius = kernel_radius(filter) * stretch;
  double widest = ceil(radius) * 2 + 1;
  axis->taps = (int32_t)(widest < size ? widest : size);
  axis->first = malloc((size_t)count * sizeof *axis->first);
  axis->lengths = malloc((size_t)count * sizeof *axis->lengths);
  axis->weights = malloc((size_t)count * (size_t)axis->taps * sizeof *axis->weights);
  double *exact = malloc((size_t)axis->taps * sizeof *exact);
  int done = axis->first && axis->lengths && axis->weights && exact;
  for (int32_t i = 0; done && i < count; i++) {
    double centre = ((double)(start + i) + 0.5) * scale;
    double low = centre - radius + 0.5, high = centre + radius + 0.5;
    int32_t begin = low > 0 ? (int32_t)low : 0;
    int32_t end = high < size ? (int32_t)high : size;
    int32_t length = end - begin;
    double sum = 0;
    for (int32_t k = 0; k < length; k++) {
      double x = (begin + k + 0.5 - centre) / stretch;
      exact[k] = kernel_value(filter, x);
      sum += exact[k];
    }
    for (int32_t k = 0; k < length; k++) {
      double share = sum != 0 ? exact[k] / sum : 0;
      axis->weights[(size_t)i * (size_t)axis->taps + (size_t)k] =
          (int32_t)lround(share * (1 << FRACTION_BITS));
    }
    axis->first[i] = begin;
    axis->lengths[i] = length;
  }
  free(exact);
  return done ? 0 : -1;
}

static uint8_t rounded(int32_t sum) {
  int32_t value = (sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_row(const uint8_t *row, const Axis *axis, int32_t count, int32_t channels,
                       uint8_t *output) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t *weights = axis->weights + (size_t)i * (size_t)axis->taps;
    const uint8_t *pixel = row + (size_t)axis->first[i] * (size_t)channels;
    int32_t length = axis->lengths[i];
    if (channels == 3) {
      int32_t red = 0, green = 0, blue = 0;
      for (int32_t k = 0; k < length; k++, pixel += 3) {
        red += weights[k] * pixel[0];
        green += weights[k] * pixel[1];
        blue += weights[k] * pixel[2];
      }
      *output++ = rounded(red);
      *output++ = rounded(green);
      *output++ = rounded(blue);
    } else {
      int32_t sum = 0;
      for (int32_t k = 0; k < length; k++) sum += weights[k] * pixel[k];
      *output++ = rounded(sum);
    }
  }
}

/// One output row from the `length` rows at `rows`; `sums` is room for a row.
static void blend_rows(const uint8_t *rows, size_t rowBytes, const int32_t *weights, int32_t length,
                       int32_t *sums, uint8_t *output) {
  for (size_t x = 0; x < rowBytes; x++) sums[x] = 0;
  for (int32_t k = 0; k < length; k++) {
    const uint8_t *row = rows + (size_t)k * rowBytes;
    int32_t weight = weights[k];
    for (size_t x = 0; x < rowBytes; x++) sums[x] += weight * row[x];
  }
  for (size_t x = 0; x < rowBytes; x++) output[x] = rounded(sums[x]);
}

int ci_resample(const CISource *source, const CITarget *target, CIFilter filter, uint8_t *output) {
  Axis across = {0}, down = {0};
  uint8_t *middle = NULL;
  int32_t *sums = NULL;
  int result = -1;
  int32_t columns = target->windowWidth, lines = target->windowHeight;
  size_t rowBytes = (size_t)columns * (size_t)source->channels;
  if (make_axis(&across, source->width, target->width, target->left, columns, filter) == 0 &&
      make_axis(&down, source->height, target->height, target->top, lines, filter) == 0) {
    // The windows of the outputs move down monotonically: the last one ends last.
    int32_t top = down.first[0];
    int32_t bottom = down.first[lines - 1] + down.lengths[lines - 1];
    middle = malloc((size_t)(bottom - top) * rowBytes);
    sums = malloc(rowBytes * sizeof *sums);
    if (middle && sums) {
      for (int32_t y = top; y < bottom; y++) {
        resize_row(source->pixels + (size_t)y * source->rowBytes, &across, columns,
                   source->channels, middle + (size_t)(y - top) * rowBytes);
      }
      for (int32_t y = 0; y < lines; y++) {
        blend_rows(middle + (size_t)(down.first[y] - top) * rowBytes, rowBytes,
                   down.weights + (size_t)y * (size_t)down.taps, down.lengths[y], sums,
                   output + (size_t)y * rowBytes);
      }
      result = 0;
    }
  }
  free(middle);
  free(sums);
  release(&across);
  release(&down);
  return result;
}
