// Loops over every pixel: warping, tables, colour.
#include <math.h>
#include <string.h>

#include "CImageCodecs.h"

static uint8_t clipped(float value) {
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5f);
}

void ci_warp(const CISource *source, const double m[6], uint8_t fill, uint8_t *output) {
  int32_t width = source->width, height = source->height, channels = source->channels;
  for (int32_t y = 0; y < height; y++) {
    for (int32_t x = 0; x < width; x++, output += channels) {
      double u = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2] - 0.5;
      double v = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5] - 0.5;
      if (!(u > -0.5 && v > -0.5 && u < width - 0.5 && v < height - 0.5)) {
        memset(output, fill, (size_t)channels);
        continue;
      }
      u = u < 0 ? 0 : u > width - 1 ? width - 1 : u;
      v = v < 0 ? 0 : v > height - 1 ? height - 1 : v;
      int32_t left = (int32_t)u, top = (int32_t)v;
      int32_t right = left + 1 < width ? left + 1 : left;
      int32_t bottom = top + 1 < height ? top + 1 : top;
      float across = (float)(u - left), down = (float)(v - top);
      const uint8_t *upper = source->pixels + (size_t)top * source->rowBytes;
      const uint8_t *lower = source->pixels + (size_t)bottom * source->rowBytes;
      for (int32_t c = 0; c < channels; c++) {
        float a = upper[left * channels + c], b = upper[right * channels + c];
        float d = lower[left * channels + c], e = lower[right * channels + c];
        float high = a + (b - a) * across, low = d + (e - d) * across;
        output[c] = clipped(high + (low - high) * down);
      }
    }
  }
}

void ci_normalize(const uint8_t *pixels, size_t pixelCount, int32_t channels, const float *table,
                  float *output) {
  for (int32_t c = 0; c < channels; c++) {
    const float *values = table + 256 * c;
    const uint8_t *source = pixels + c;
    float *plane = output + (size_t)c * pixelCount;
    for (size_t i = 0; i < pixelCount; i++) plane[i] = values[source[i * (size_t)channels]];
  }
}

void ci_map(const uint8_t *pixels, size_t pixelCount, int32_t channels, const uint8_t *table,
            uint8_t *output) {
  for (size_t i = 0; i < pixelCount; i++) {
    for (int32_t c = 0; c < channels; c++) *output++ = table[256 * c + *pixels++];
  }
}

void ci_interleave(const uint8_t *planes, size_t pixelCount, int32_t channels, uint8_t *output) {
  for (size_t i = 0; i < pixelCount; i++) {
    for (int32_t c = 0; c < channels; c++) *output++ = planes[(size_t)c * pixelCount + i];
  }
}

void ci_luma(const uint8_t *pixels, size_t pixelCount, uint8_t *output) {
  for (size_t i = 0; i < pixelCount; i++, pixels += 3) {
    uint32_t sum = 19595u * pixels[0] + 38470u * pixels[1] + 7471u * pixels[2] + 32768u;
    output[i] = (uint8_t)(sum >> 16);
  }
}

void ci_blend(const uint8_t *first, const uint8_t *second, size_t count, float weight,
              uint8_t *output) {
  for (size_t i = 0; i < count; i++) {
    output[i] = clipped((float)second[i] + weight * ((float)first[i] - (float)second[i]));
  }
}

void ci_smooth(const CISource *source, uint8_t *output) {
  int32_t width = source->width, height = source->height, channels = source->channels;
  for (int32_t y = 0; y < height; y++) {
    const uint8_t *row = source->pixels + (size_t)y * source->rowBytes;
    const uint8_t *above = row - source->rowBytes, *below = row + source->rowBytes;
    for (int32_t i = 0; i < width * channels; i++) {
      int32_t x = i / channels;
      if (x == 0 || y == 0 || x == width - 1 || y == height - 1) {
        *output++ = row[i];
        continue;
      }
      int32_t left = i - channels, right = i + channels;
      int32_t sum = above[left] + above[i] + above[right] + row[left] + 5 * row[i] + row[right] +
                    below[left] + below[i] + below[right];
      *output++ = (uint8_t)((sum + 6) / 13);
    }
  }
}

void ci_turn_hue(const uint8_t *pixels, size_t pixelCount, float turn, uint8_t *output) {
  for (size_t i = 0; i < pixelCount; i++, pixels += 3, output += 3) {
    float red = pixels[0], green = pixels[1], blue = pixels[2];
    float high = fmaxf(red, fmaxf(green, blue)), low = fminf(red, fminf(green, blue));
    float chroma = high - low;
    if (chroma == 0) {
      memmove(output, pixels, 3);
      continue;
    }
    float sixth = high == red     ? (green - blue) / chroma
                  : high == green ? (blue - red) / chroma + 2
                                  : (red - green) / chroma + 4;
    sixth += 6 * turn;
    sixth -= 6 * floorf(sixth / 6);
    // Each channel is a trapezoid over the circle, a third of a turn apart.
    const float offsets[3] = {5, 3, 1};
    for (int c = 0; c < 3; c++) {
      float k = fmodf(offsets[c] + sixth, 6);
      float ramp = fminf(k, 4 - k);
      output[c] = clipped(high - chroma * fmaxf(0, fminf(1, ramp)));
    }
  }
}

void ci_mirror(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels,
               uint8_t *output) {
  size_t rowBytes = (size_t)width * (size_t)channels;
  for (int32_t y = 0; y < height; y++, pixels += rowBytes) {
    const uint8_t *pixel = pixels + rowBytes;
    for (int32_t x = 0; x < width; x++) {
      pixel -= channels;
      for (int32_t c = 0; c < channels; c++) *output++ = pixel[c];
    }
  }
}
