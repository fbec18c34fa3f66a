// What both resizes share.
#ifndef KERNELS_H
#define KERNELS_H

#include <math.h>

#include "CImageCodecs.h"

/// Bytes that must be readable after the last pixel of a source with four bytes for each pixel.
#define CI_SLACK 32

static inline double triangle(double x) {
  x = fabs(x);
  return x < 1 ? 1 - x : 0;
}

/// Keys' cubic convolution kernel with a = -0.5.
static inline double cubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

static inline double kernel_value(CIFilter filter, double x) {
  return filter == CI_BICUBIC ? cubic(x) : triangle(x);
}

/// Where the kernel becomes 0.
static inline double kernel_radius(CIFilter filter) { return filter == CI_BICUBIC ? 2 : 1; }

#endif
