// The two decoders behind `CImageCodecs.h`.
#ifndef FORMATS_H
#define FORMATS_H

#include "CImageCodecs.h"

/// A picture as the file stores it, before it is turned upright.
typedef struct {
  int64_t width;
  int64_t height;
  int32_t channels;
  int32_t orientation;
} Stored;

/// How a stored picture becomes upright: upright pixel (x, y) is stored pixel (x, y), first with its
/// coordinates exchanged, then mirrored.
typedef struct {
  int exchanges;
  int mirrorsX;
  int mirrorsY;
} Turn;

Turn turn_of(int32_t orientation);

/// Copies stored pixels, in rows `rowBytes` apart, upright.
void turn_upright(const uint8_t *stored, size_t rowBytes, int64_t storedWidth,
                  int64_t storedHeight, int32_t channels, int32_t orientation, uint8_t *upright);

CIHeader upright_header(const Stored *stored);

int jpeg_header(const uint8_t *bytes, size_t count, int64_t pixelLimit, Stored *stored,
                char *message);
int jpeg_pixels(const uint8_t *bytes, size_t count, const Stored *stored, uint8_t *pixels,
                char *message);

int png_header(const uint8_t *bytes, size_t count, int64_t pixelLimit, Stored *stored,
               char *message);
int png_pixels(const uint8_t *bytes, size_t count, const Stored *stored, uint8_t *pixels,
               char *message);

/// The orientation (1 to 8) in a TIFF block of EXIF data; 1 when it has none or is damaged.
int32_t exif_orientation(const uint8_t *tiff, size_t count);

/// Writes the reason and returns -1.
int failed(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// -1 with a reason when the size is nothing or above the limit.
int check_size(int64_t width, int64_t height, int64_t pixelLimit, char *message);

#endif
