// JPEG through libjpeg-turbo: headers, and whole pictures.
#include <stdio.h>
#include <string.h>

#include "JpegDecoder.h"
#include <jerror.h>

/// Far above what encoders write (about ten); thousands would only serve to keep a decoder busy.
#define SCAN_LIMIT 200

/// A block of 64 pixels takes a bit at least, and a sampling of 4x1 and 1x4 covers 1024 pixels with
/// eight blocks. Arithmetic coding has no such bound.
#define PIXELS_PER_BYTE 1024

static void on_error(j_common_ptr jpeg) {
  Decoder *decoder = jpeg->client_data;
  char text[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, text);
  failed(decoder->message, "%s", text);
  longjmp(decoder->escape, 1);
}

/// libjpeg only warns of a file that ends early, and invents the rest.
static void on_message(j_common_ptr jpeg, int level) {
  if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg) {
  Decoder *decoder = jpeg->client_data;
  if (decoder->jpeg.input_scan_number <= SCAN_LIMIT) return;
  failed(decoder->message, "more than %d scans", SCAN_LIMIT);
  longjmp(decoder->escape, 1);
}

static int32_t marker_orientation(const struct jpeg_decompress_struct *jpeg) {
  static const char signature[6] = "Exif\0";
  for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker; marker = marker->next) {
    if (marker->marker == JPEG_APP0 + 1 && marker->data_length > sizeof signature &&
        memcmp(marker->data, signature, sizeof signature) == 0) {
      return exif_orientation(marker->data + sizeof signature,
                              marker->data_length - sizeof signature);
    }
  }
  return 1;
}

int open_jpeg(Decoder *decoder, const uint8_t *bytes, size_t count, char *message) {
  memset(decoder, 0, sizeof *decoder);
  decoder->message = message;
  decoder->jpeg.err = jpeg_std_error(&decoder->errors);
  decoder->errors.error_exit = on_error;
  decoder->errors.emit_message = on_message;
  decoder->progress.progress_monitor = on_progress;
  decoder->jpeg.client_data = decoder;
  if (setjmp(decoder->escape)) return -1;
  jpeg_create_decompress(&decoder->jpeg);
  decoder->jpeg.client_data = decoder;
  decoder->jpeg.progress = &decoder->progress;
  jpeg_mem_src(&decoder->jpeg, bytes, (unsigned long)count);
  jpeg_save_markers(&decoder->jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&decoder->jpeg, TRUE);
  return 0;
}

int describe_jpeg(Decoder *decoder, size_t count, int64_t pixelLimit, Stored *stored,
                  char *message) {
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  stored->width = jpeg->image_width;
  stored->height = jpeg->image_height;
  stored->orientation = marker_orientation(jpeg);
  switch (jpeg->jpeg_color_space) {
  case JCS_GRAYSCALE:
    stored->channels = 1;
    break;
  case JCS_YCbCr:
  case JCS_RGB:
  case JCS_CMYK:
  case JCS_YCCK:
    stored->channels = 3;
    break;
  default:
    return failed(message, "%d colour components of an unknown kind", jpeg->num_components);
  }
  if (check_size(stored->width, stored->height, pixelLimit, message)) return -1;
  if (!jpeg->arith_code && stored->width * stored->height / PIXELS_PER_BYTE > (int64_t)count) {
    return failed(message, "the header says %lldx%lld pixels, more than %zu bytes can hold",
                  (long long)stored->width, (long long)stored->height, count);
  }
  return 0;
}

int jpeg_header(const uint8_t *bytes, size_t count, int64_t pixelLimit, Stored *stored,
                char *message) {
  Decoder decoder;
  int result = open_jpeg(&decoder, bytes, count, message);
  if (result == 0) result = describe_jpeg(&decoder, count, pixelLimit, stored, message);
  jpeg_destroy_decompress(&decoder.jpeg);
  return result;
}

void rgb_from_inverted_cmyk(const uint8_t *ink, int64_t width, int32_t pixelBytes,
                            uint8_t *row) {
  for (int64_t x = 0; x < width; x++, ink += 4, row += pixelBytes) {
    int white = ink[3];
    for (int c = 0; c < 3; c++) row[c] = (uint8_t)(white - ((255 - ink[c]) * white + 127) / 255);
  }
}

int start_jpeg(struct jpeg_decompress_struct *jpeg, J_COLOR_SPACE space) {
  int inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  jpeg->out_color_space = inks ? JCS_CMYK : space;
  jpeg->dct_method = JDCT_ISLOW;
  jpeg->do_fancy_upsampling = TRUE;
  jpeg_start_decompress(jpeg);
  return inks;
}

static int read_rows(Decoder *decoder, const Stored *stored, uint8_t *pixels) {
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  if (setjmp(decoder->escape)) return -1;
  int inks = start_jpeg(jpeg, stored->channels == 1 ? JCS_GRAYSCALE : JCS_RGB);
  size_t rowBytes = (size_t)stored->width * (size_t)stored->channels;
  JSAMPARRAY ink = inks ? jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
                                                  (JDIMENSION)stored->width * 4, 1)
                        : NULL;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = pixels + jpeg->output_scanline * rowBytes;
    if (jpeg_read_scanlines(jpeg, inks ? ink : &row, 1) == 1 && inks) {
      rgb_from_inverted_cmyk(ink[0], stored->width, stored->channels, row);
    }
  }
  return 0;
}

int jpeg_pixels(const uint8_t *bytes, size_t count, const Stored *stored, uint8_t *pixels,
                char *message) {
  Decoder decoder;
  int result = open_jpeg(&decoder, bytes, count, message);
  if (result == 0) result = read_rows(&decoder, stored, pixels);
  jpeg_destroy_decompress(&decoder.jpeg);
  return result;
}
