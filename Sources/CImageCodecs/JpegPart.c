// The part of a JPEG picture that a random crop needs.
#include <stdlib.h>
#include <string.h>

#include "JpegDecoder.h"
#include "Kernels.h"

/// Bytes of a decoded pixel: vectors take red, green and blue with a fourth.
#define PIXEL 4

/// Columns decoded beyond the box on each side: smooth chroma upsampling looks at neighbours.
#define MARGIN 2

struct CIJpeg {
  Decoder decoder;
  Stored stored;
  uint8_t *pixels;
  uint8_t *turned;
};

CIJpeg *ci_open_jpeg(const uint8_t *bytes, size_t count, int64_t pixelLimit, CIHeader *header,
                     char *message) {
  CIJpeg *jpeg = calloc(1, sizeof *jpeg);
  if (!jpeg) {
    failed(message, "not enough memory");
    return NULL;
  }
  if (open_jpeg(&jpeg->decoder, bytes, count, message) ||
      describe_jpeg(&jpeg->decoder, count, pixelLimit, &jpeg->stored, message)) {
    ci_close_jpeg(jpeg);
    return NULL;
  }
  *header = upright_header(&jpeg->stored);
  return jpeg;
}

void ci_close_jpeg(CIJpeg *jpeg) {
  jpeg_destroy_decompress(&jpeg->decoder.jpeg);
  free(jpeg->pixels);
  free(jpeg->turned);
  free(jpeg);
}

// MARK: Geometry

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static void exchange(int32_t *a, int32_t *b) {
  int32_t old = *a;
  *a = *b;
  *b = old;
}

/// The box in the picture as it is stored.
static CIBox stored_box(const Stored *stored, CIBox box) {
  Turn turn = turn_of(stored->orientation);
  if (turn.exchanges) {
    exchange(&box.left, &box.top);
    exchange(&box.width, &box.height);
  }
  if (turn.mirrorsX) box.left = (int32_t)stored->width - box.left - box.width;
  if (turn.mirrorsY) box.top = (int32_t)stored->height - box.top - box.height;
  return box;
}

/// A reduced box has at least so many times the target's columns and rows: the antialiased resize
/// then decides how the picture looks, and not the transform, which cuts off frequencies by blocks.
#define GAP 2

/// The eighths of its size at which a box is decoded. Only the sizes for which libjpeg-turbo has
/// vectorised transforms: others take longer than all the pixels do.
static int32_t eighths(const CIBox *box, int32_t width, int32_t height) {
  for (int32_t eighths = 1; eighths < 8; eighths *= 2) {
    if ((int64_t)box->width * eighths >= (int64_t)width * GAP * 8 &&
        (int64_t)box->height * eighths >= (int64_t)height * GAP * 8) {
      return eighths;
    }
  }
  return 8;
}

/// The pixels of the reduced picture that a box touches, at most `width` x `height`.
static CIBox reduced(const CIBox *box, int32_t eighths, int32_t width, int32_t height) {
  int64_t right = ((int64_t)box->left + box->width) * eighths;
  int64_t bottom = ((int64_t)box->top + box->height) * eighths;
  CIBox part = {.left = (int32_t)((int64_t)box->left * eighths / 8),
                .top = (int32_t)((int64_t)box->top * eighths / 8)};
  part.width = least((int32_t)((right + 7) / 8), width) - part.left;
  part.height = least((int32_t)((bottom + 7) / 8), height) - part.top;
  return part;
}

// MARK: Decoding

static uint8_t *with_slack(size_t bytes) {
  uint8_t *memory = malloc(bytes + CI_SLACK);
  if (memory) memset(memory + bytes, 0, CI_SLACK);
  return memory;
}

/// libjpeg complains of a file that ends early only where it needs the bytes, and rows skipped up to
/// the last are none: when the file has no end, they are decoded after all.
static void check_rest(struct jpeg_decompress_struct *jpeg) {
  const uint8_t *bytes = jpeg->src->next_input_byte;
  const uint8_t *end = bytes + jpeg->src->bytes_in_buffer;
  while (bytes && bytes < end && (bytes = memchr(bytes, 0xFF, (size_t)(end - bytes)))) {
    if (end - bytes > 1 && bytes[1] == JPEG_EOI) return;
    bytes++;
  }
  JDIMENSION rest = jpeg->output_height - jpeg->output_scanline;
  JSAMPARRAY row = jpeg->mem->alloc_sarray(
      (j_common_ptr)jpeg, JPOOL_IMAGE,
      jpeg->output_width * (JDIMENSION)jpeg->output_components, 1);
  if (rest > 1) jpeg_skip_scanlines(jpeg, rest - 1);
  jpeg_read_scanlines(jpeg, row, 1);
}

/// Decodes the rows and columns of `part`, which lies in the reduced picture; `*first` becomes its
/// upper left pixel in `pixels`, whose rows are `*rowBytes` apart.
static int read_part(CIJpeg *parent, const CIBox *box, int32_t scale, CIBox *part,
                     const uint8_t **first, size_t *rowBytes) {
  struct jpeg_decompress_struct *jpeg = &parent->decoder.jpeg;
  if (setjmp(parent->decoder.escape)) return -1;
  jpeg->scale_num = (unsigned int)scale;
  jpeg->scale_denom = 8;
  int inks = start_jpeg(jpeg, JCS_EXT_RGBX);
  *part = reduced(box, scale, (int32_t)jpeg->output_width, (int32_t)jpeg->output_height);

  JDIMENSION left = part->left < MARGIN ? 0 : (JDIMENSION)(part->left - MARGIN);
  JDIMENSION right = (JDIMENSION)(part->left + part->width + MARGIN);
  JDIMENSION width = (right < jpeg->output_width ? right : jpeg->output_width) - left;
  if (width < jpeg->output_width) jpeg_crop_scanline(jpeg, &left, &width);
  *rowBytes = (size_t)width * PIXEL;
  parent->pixels = with_slack(*rowBytes * (size_t)part->height);
  if (!parent->pixels) return failed(parent->decoder.message, "not enough memory");
  *first = parent->pixels + ((size_t)part->left - left) * PIXEL;

  JDIMENSION top = (JDIMENSION)part->top, bottom = (JDIMENSION)(part->top + part->height);
  if (top > 0) jpeg_skip_scanlines(jpeg, top);
  JSAMPARRAY ink = inks ? jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, width * 4, 1)
                        : NULL;
  while (jpeg->output_scanline < bottom) {
    JSAMPROW row = parent->pixels + (jpeg->output_scanline - top) * *rowBytes;
    if (jpeg_read_scanlines(jpeg, inks ? ink : &row, 1) == 1 && inks) {
      rgb_from_inverted_cmyk(ink[0], width, PIXEL, row);
    }
  }
  if (bottom < jpeg->output_height && !jpeg_has_multiple_scans(jpeg)) check_rest(jpeg);
  return 0;
}

/// Makes an area of the stored picture one of the upright picture.
static int turn_area(CIJpeg *jpeg, CIArea *area, char *message) {
  CISource stored = area->source;
  jpeg->turned = with_slack((size_t)stored.width * (size_t)stored.height * PIXEL);
  if (!jpeg->turned) return failed(message, "not enough memory");
  turn_upright(stored.pixels, stored.rowBytes, stored.width, stored.height, stored.channels,
               jpeg->stored.orientation, jpeg->turned);
  Turn turn = turn_of(jpeg->stored.orientation);
  double left = turn.mirrorsX ? stored.width - area->left - area->width : area->left;
  double top = turn.mirrorsY ? stored.height - area->top - area->height : area->top;
  CIArea upright = {.left = turn.exchanges ? top : left,
                    .top = turn.exchanges ? left : top,
                    .width = turn.exchanges ? area->height : area->width,
                    .height = turn.exchanges ? area->width : area->height,
                    .source = stored};
  if (turn.exchanges) exchange(&upright.source.width, &upright.source.height);
  upright.source.pixels = jpeg->turned;
  upright.source.rowBytes = (size_t)upright.source.width * PIXEL;
  *area = upright;
  return 0;
}

int ci_decode_part(CIJpeg *jpeg, const CIBox *box, int32_t width, int32_t height, CIArea *area,
                   char *message) {
  CIBox wanted = stored_box(&jpeg->stored, *box), part = {0};
  if (turn_of(jpeg->stored.orientation).exchanges) exchange(&width, &height);
  int32_t scale = eighths(&wanted, width, height);
  const uint8_t *first = NULL;
  size_t rowBytes = 0;
  jpeg->decoder.message = message;
  if (read_part(jpeg, &wanted, scale, &part, &first, &rowBytes)) return -1;
  CISource source = {.pixels = first,
                     .rowBytes = rowBytes,
                     .width = part.width,
                     .height = part.height,
                     .channels = PIXEL};
  area->source = source;
  area->left = wanted.left * scale / 8.0 - part.left;
  area->top = wanted.top * scale / 8.0 - part.top;
  area->width = wanted.width * scale / 8.0;
  area->height = wanted.height * scale / 8.0;
  return jpeg->stored.orientation == 1 ? 0 : turn_area(jpeg, area, message);
}
