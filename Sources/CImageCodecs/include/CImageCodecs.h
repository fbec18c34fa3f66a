// Pictures in C: JPEG and PNG through libjpeg-turbo and libpng, resampling, warping, normalisation.
//
// Pixels are 8-bit, interleaved, row by row, one (gray) or three (red, green, blue) channels. Nothing
// here keeps state: every function may run on many threads at once. Functions that return `int`
// return 0 when done and -1 when not; the reason is then in `message`.
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Room for a failure's reason, with the NUL.
#define CI_MESSAGE_SIZE 256

/// What a picture's header says.
typedef struct {
  int32_t width;        // upright, that is after `orientation` was applied
  int32_t height;
  int32_t channels;     // as decoded: 1 or 3
  int32_t orientation;  // EXIF, 1 (upright) to 8
} CIHeader;

/// Reads the header of a JPEG or PNG file in memory; allocates nothing in proportion to the picture.
///
/// Refuses pictures of more than `pixelLimit` pixels, and sizes that the file is too short to hold.
int ci_read_header(const uint8_t *bytes, size_t count, int64_t pixelLimit, CIHeader *header,
                   char *message);

/// Decodes into `pixels` (height * width * channels of `header`, which `ci_read_header` filled in
/// from the same bytes), upright.
///
/// JPEG: accurate integer DCT, smooth chroma upsampling, CMYK as `R = (255 - K) (255 - C) / 255`.
/// PNG: palettes expanded, alpha dropped, the high byte of 16 bits. A file that ends early is an
/// error.
int ci_decode(const uint8_t *bytes, size_t count, const CIHeader *header, uint8_t *pixels,
              char *message);

/// Encodes as PNG; `*bytes` is released with `free`.
int ci_encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels,
                  uint8_t **bytes, size_t *count, char *message);

typedef enum { CI_BILINEAR, CI_BICUBIC } CIFilter;

/// Part of a picture: from `pixels` (its upper left corner) on, rows `rowBytes` apart.
typedef struct {
  const uint8_t *pixels;
  size_t rowBytes;
  int32_t width;
  int32_t height;
  int32_t channels;  // 1 or 3
} CISource;

/// The pixels to compute of a picture that is `width` x `height` after the resize.
typedef struct {
  int64_t width;
  int64_t height;
  int64_t left;
  int64_t top;
  int32_t windowWidth;
  int32_t windowHeight;
} CITarget;

/// Resizes with an antialiased kernel; `output` holds windowHeight * windowWidth * channels bytes.
///
/// The triangle (bilinear) or Keys' cubic with a = -0.5 (bicubic) is stretched by the reduction
/// factor, cut off at the picture's edge and normalised to sum 1. First the rows, rounded and
/// clipped to 8 bits, then the columns: as Pillow does. Returns -1 when memory is short.
int ci_resample(const CISource *source, const CITarget *target, CIFilter filter, uint8_t *output);

// MARK: Random crops

/// A rectangle of whole pixels.
typedef struct {
  int32_t left;
  int32_t top;
  int32_t width;
  int32_t height;
} CIBox;

/// A rectangle in `source`, in its pixels; its corners may lie inside pixels. Here a source may also
/// have four bytes for each pixel, as `ci_decode_part` makes it.
typedef struct {
  CISource source;
  double left;
  double top;
  double width;
  double height;
} CIArea;

/// Whether the bytes begin as a JPEG file.
int ci_is_jpeg(const uint8_t *bytes, size_t count);

/// A JPEG file in memory, of which one part is decoded.
typedef struct CIJpeg CIJpeg;

/// Reads the header; NULL when it cannot be, with `ci_read_header`'s reasons. `bytes` must outlive
/// what is returned.
CIJpeg *ci_open_jpeg(const uint8_t *bytes, size_t count, int64_t pixelLimit, CIHeader *header,
                     char *message);

/// Decodes what a resize of `box` (in the upright picture, not empty) to `width` x `height` needs,
/// upright; to be called once. `area->source.pixels` live until `ci_close_jpeg`.
///
/// Rows and columns outside the box are left out. The inverse DCT gives 1/8, 1/4 or 1/2 of the
/// size, the smallest at which the box still has twice the columns and rows of `width` x `height`;
/// otherwise every pixel of the box is as `ci_decode` gives it (gray repeated). A file that ends
/// early is an error, also when it lacks only what lies below the box.
int ci_decode_part(CIJpeg *jpeg, const CIBox *box, int32_t width, int32_t height, CIArea *area,
                   char *message);

void ci_close_jpeg(CIJpeg *jpeg);

/// The size of a resized area: with `channels` (1: luma of colours) and perhaps left and right
/// exchanged.
typedef struct {
  int32_t width;
  int32_t height;
  int32_t channels;
  int32_t mirrored;
} CIResized;

/// Resizes an area with the antialiased kernels of `ci_resample`, without rounding in between, and
/// clips to 0 ... 255: `output[c][y][x] = value * scale[c] + shift[c]`. Returns -1 when memory is
/// short.
///
/// Differs from `ci_resample` by less than 1 where neither has to clip. Every step is a rounded
/// operation of IEEE 754, so that all machines compute the same.
int ci_resize_to_floats(const CIArea *area, const CIResized *target, CIFilter filter,
                        const float *scale, const float *shift, float *output);

/// The same, rounded, interleaved.
int ci_resize_to_bytes(const CIArea *area, const CIResized *target, CIFilter filter,
                       uint8_t *output);

// MARK: Loops over pixels

/// Fills `output` (same size as `source`) with the source at
/// `(m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5])`, pixel centres at halves, bilinear; `fill`
/// outside the picture.
void ci_warp(const CISource *source, const double m[6], uint8_t fill, uint8_t *output);

/// Planes of floats from interleaved bytes: `output[c][i] = table[c][pixels[i][c]]`.
void ci_normalize(const uint8_t *pixels, size_t pixelCount, int32_t channels, const float *table,
                  float *output);

/// `output[i] = table[c][pixels[i][c]]`, interleaved; in place is allowed.
void ci_map(const uint8_t *pixels, size_t pixelCount, int32_t channels, const uint8_t *table,
            uint8_t *output);

/// Interleaved bytes from planes (CIFAR's layout).
void ci_interleave(const uint8_t *planes, size_t pixelCount, int32_t channels, uint8_t *output);

/// Luma of interleaved red, green, blue: `(19595 R + 38470 G + 7471 B + 32768) / 65536` (BT.601).
void ci_luma(const uint8_t *pixels, size_t pixelCount, uint8_t *output);

/// `weight first + (1 - weight) second`, rounded and clipped; `output` may be either of them.
void ci_blend(const uint8_t *first, const uint8_t *second, size_t count, float weight,
              uint8_t *output);

/// Weights the eight neighbours 1 and the pixel itself 5; the picture's edge stays as it is.
void ci_smooth(const CISource *source, uint8_t *output);

/// Turns the hue of interleaved red, green, blue by `turn` (1 is the whole circle).
void ci_turn_hue(const uint8_t *pixels, size_t pixelCount, float turn, uint8_t *output);

/// Mirrors left and right.
void ci_mirror(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels,
               uint8_t *output);

#ifdef __cplusplus
}
#endif

#endif
