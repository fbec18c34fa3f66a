// What the files over libjpeg-turbo share.
//
// Its errors leave by `longjmp`: each `setjmp` stands in a function whose other state lives in the
// caller's frame, and no call of libjpeg is outside such a function.
#ifndef JPEG_DECODER_H
#define JPEG_DECODER_H

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "Formats.h"

typedef struct {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  char *message;
} Decoder;

/// Starts the decoder and reads up to the first scan. Afterwards, also when this fails, the caller
/// destroys `jpeg`.
int open_jpeg(Decoder *decoder, const uint8_t *bytes, size_t count, char *message);

/// Size, channels and orientation of an opened file; -1 when they cannot be.
int describe_jpeg(Decoder *decoder, size_t count, int64_t pixelLimit, Stored *stored,
                  char *message);

/// Starts decoding to `space` with the quality that `ci_decode` promises; whether the rows come as
/// four inks instead.
int start_jpeg(struct jpeg_decompress_struct *jpeg, J_COLOR_SPACE space);

/// Adobe stores CMYK inverted: `ink` holds 255 - C, 255 - M, 255 - Y, 255 - K. `row` has
/// `pixelBytes` for each pixel.
void rgb_from_inverted_cmyk(const uint8_t *ink, int64_t width, int32_t pixelBytes, uint8_t *row);

#endif
