// PNG through libpng. Its errors leave by `longjmp`, which stays inside this file: each `setjmp`
// stands in a function whose other state lives in the caller's frame.
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "Formats.h"

/// Deflate codes 258 bytes in two bits at best.
#define DEFLATE_LIMIT 1032

typedef struct {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t left;
  char *message;
} Decoder;

static void on_error(png_structp png, png_const_charp text) {
  failed(png_get_error_ptr(png), "%s", text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void on_read(png_structp png, png_bytep destination, size_t count) {
  Decoder *decoder = png_get_io_ptr(png);
  if (count > decoder->left) png_error(png, "the file ends early");
  memcpy(destination, decoder->bytes, count);
  decoder->bytes += count;
  decoder->left -= count;
}

static int open_png(Decoder *decoder, const uint8_t *bytes, size_t count, char *message) {
  *decoder = (Decoder){.bytes = bytes, .left = count, .message = message};
  decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
  if (!decoder->png) return failed(message, "not enough memory");
  decoder->info = png_create_info_struct(decoder->png);
  if (!decoder->info) return failed(message, "not enough memory");
  if (setjmp(png_jmpbuf(decoder->png))) return -1;
  png_set_read_fn(decoder->png, decoder, on_read);
  png_read_info(decoder->png, decoder->info);
  return 0;
}

static void close_png(Decoder *decoder) {
  if (decoder->png) png_destroy_read_struct(&decoder->png, &decoder->info, NULL);
}

static uint32_t big_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

int png_header(const uint8_t *bytes, size_t count, int64_t pixelLimit, Stored *stored,
               char *message) {
  // The size comes first in every PNG; it is judged before libpng sees the file.
  if (count < 33) return failed(message, "the file ends early");
  int64_t width = big_endian(bytes + 16), height = big_endian(bytes + 20);
  if (check_size(width, height, pixelLimit, message)) return -1;

  Decoder decoder;
  int result = open_png(&decoder, bytes, count, message);
  if (result == 0) {
    png_byte type = png_get_color_type(decoder.png, decoder.info);
    int64_t bits = (int64_t)png_get_bit_depth(decoder.png, decoder.info) *
                   png_get_channels(decoder.png, decoder.info);
    png_bytep exif = NULL;
    png_uint_32 exifCount = 0;
    png_get_eXIf_1(decoder.png, decoder.info, &exifCount, &exif);
    stored->width = width;
    stored->height = height;
    stored->channels = type & PNG_COLOR_MASK_COLOR ? 3 : 1;
    stored->orientation = exif ? exif_orientation(exif, exifCount) : 1;
    if (width * height / 8 * bits / DEFLATE_LIMIT > (int64_t)count) {
      result = failed(message, "the header says %lldx%lld pixels, more than %zu bytes can hold",
                      (long long)width, (long long)height, count);
    }
  }
  close_png(&decoder);
  return result;
}

static int read_rows(Decoder *decoder, const Stored *stored, uint8_t *pixels) {
  png_structp png = decoder->png;
  if (setjmp(png_jmpbuf(png))) return -1;
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, decoder->info);
  size_t rowBytes = (size_t)stored->width * (size_t)stored->channels;
  if (png_get_rowbytes(png, decoder->info) != rowBytes) png_error(png, "an unknown pixel layout");
  for (int pass = 0; pass < passes; pass++) {
    for (int64_t y = 0; y < stored->height; y++) {
      png_read_row(png, pixels + (size_t)y * rowBytes, NULL);
    }
  }
  png_read_end(png, NULL);
  return 0;
}

int png_pixels(const uint8_t *bytes, size_t count, const Stored *stored, uint8_t *pixels,
               char *message) {
  Decoder decoder;
  int result = open_png(&decoder, bytes, count, message);
  if (result == 0) result = read_rows(&decoder, stored, pixels);
  close_png(&decoder);
  return result;
}

// MARK: Encoding

typedef struct {
  uint8_t *bytes;
  size_t count;
  size_t capacity;
} Sink;

static void on_write(png_structp png, png_bytep source, size_t count) {
  Sink *sink = png_get_io_ptr(png);
  if (sink->capacity - sink->count < count) {
    size_t capacity = 2 * sink->capacity + count;
    uint8_t *grown = realloc(sink->bytes, capacity);
    if (!grown) png_error(png, "not enough memory");
    sink->bytes = grown;
    sink->capacity = capacity;
  }
  memcpy(sink->bytes + sink->count, source, count);
  sink->count += count;
}

static void on_flush(png_structp png) { (void)png; }

static int write_png(png_structp png, png_infop info, const uint8_t *pixels, int32_t width,
                     int32_t height, int32_t channels) {
  if (setjmp(png_jmpbuf(png))) return -1;
  int type = channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
  png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  size_t rowBytes = (size_t)width * (size_t)channels;
  for (int32_t y = 0; y < height; y++) png_write_row(png, pixels + (size_t)y * rowBytes);
  png_write_end(png, info);
  return 0;
}

int ci_encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels,
                  uint8_t **bytes, size_t *count, char *message) {
  Sink sink = {0};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  int result = -1;
  if (info) {
    png_set_write_fn(png, &sink, on_write, on_flush);
    result = write_png(png, info, pixels, width, height, channels);
  } else {
    failed(message, "not enough memory");
  }
  if (png) png_destroy_write_struct(&png, &info);
  if (result != 0) {
    free(sink.bytes);
    return result;
  }
  *bytes = sink.bytes;
  *count = sink.count;
  return 0;
}
