// Which decoder, and the turn to upright.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "Formats.h"

int failed(char *message, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, CI_MESSAGE_SIZE, format, arguments);
  va_end(arguments);
  return -1;
}

int check_size(int64_t width, int64_t height, int64_t pixelLimit, char *message) {
  if (width <= 0 || height <= 0) return failed(message, "no pixels");
  if (width <= INT32_MAX && height <= INT32_MAX && width <= pixelLimit / height) return 0;
  return failed(message, "%lldx%lld pixels are above the limit of %lld", (long long)width,
                (long long)height, (long long)pixelLimit);
}

// MARK: EXIF

static uint32_t number(const uint8_t *bytes, int size, int bigEndian) {
  uint32_t value = 0;
  for (int i = 0; i < size; i++) value = value << 8 | bytes[bigEndian ? i : size - 1 - i];
  return value;
}

int32_t exif_orientation(const uint8_t *tiff, size_t count) {
  enum { tag = 0x0112, shortType = 3, entryBytes = 12 };
  if (count < 8) return 1;
  int bigEndian = tiff[0] == 'M';
  size_t directory = number(tiff + 4, 4, bigEndian);
  if (directory < 8 || directory > count - 2) return 1;
  size_t entries = number(tiff + directory, 2, bigEndian);
  for (size_t i = 0; i < entries; i++) {
    size_t offset = directory + 2 + i * entryBytes;
    if (offset + entryBytes > count) return 1;
    const uint8_t *entry = tiff + offset;
    if (number(entry, 2, bigEndian) != tag || number(entry + 2, 2, bigEndian) != shortType) continue;
    uint32_t value = number(entry + 8, 2, bigEndian);
    return value >= 1 && value <= 8 ? (int32_t)value : 1;
  }
  return 1;
}

Turn turn_of(int32_t orientation) {
  Turn turn = {.exchanges = orientation >= 5,
               .mirrorsX = orientation == 2 || orientation == 3 || orientation == 7 ||
                           orientation == 8,
               .mirrorsY = orientation == 3 || orientation == 4 || orientation == 6 ||
                           orientation == 7};
  return turn;
}

void turn_upright(const uint8_t *stored, size_t rowBytes, int64_t storedWidth,
                  int64_t storedHeight, int32_t channels, int32_t orientation, uint8_t *upright) {
  Turn turn = turn_of(orientation);
  int64_t width = turn.exchanges ? storedHeight : storedWidth;
  int64_t height = turn.exchanges ? storedWidth : storedHeight;
  for (int64_t y = 0; y < height; y++) {
    for (int64_t x = 0; x < width; x++) {
      int64_t column = turn.exchanges ? y : x, row = turn.exchanges ? x : y;
      if (turn.mirrorsX) column = storedWidth - 1 - column;
      if (turn.mirrorsY) row = storedHeight - 1 - row;
      const uint8_t *source = stored + (size_t)row * rowBytes + (size_t)(column * channels);
      for (int32_t c = 0; c < channels; c++) *upright++ = source[c];
    }
  }
}

// MARK: Formats

typedef enum { UNKNOWN, JPEG, PNG } Format;

static int starts(const uint8_t *bytes, size_t count, size_t offset, const char *text) {
  size_t length = strlen(text);
  return count >= offset + length && memcmp(bytes + offset, text, length) == 0;
}

int ci_is_jpeg(const uint8_t *bytes, size_t count) {
  return starts(bytes, count, 0, "\xFF\xD8\xFF");
}

static Format format(const uint8_t *bytes, size_t count, char *message) {
  if (ci_is_jpeg(bytes, count)) return JPEG;
  if (starts(bytes, count, 0, "\x89PNG\r\n\x1A\n")) return PNG;
  if (count == 0) {
    failed(message, "the file is empty");
  } else if (starts(bytes, count, 0, "GIF8")) {
    failed(message, "a GIF picture, not JPEG or PNG");
  } else if (starts(bytes, count, 0, "RIFF") && starts(bytes, count, 8, "WEBP")) {
    failed(message, "a WebP picture, not JPEG or PNG");
  } else if (starts(bytes, count, 4, "ftyp")) {
    failed(message, "a HEIC or AVIF picture, not JPEG or PNG");
  } else {
    failed(message, "not a JPEG or PNG picture");
  }
  return UNKNOWN;
}

CIHeader upright_header(const Stored *stored) {
  int exchanged = turn_of(stored->orientation).exchanges;
  CIHeader header = {.width = (int32_t)(exchanged ? stored->height : stored->width),
                     .height = (int32_t)(exchanged ? stored->width : stored->height),
                     .channels = stored->channels,
                     .orientation = stored->orientation};
  return header;
}

int ci_read_header(const uint8_t *bytes, size_t count, int64_t pixelLimit, CIHeader *header,
                   char *message) {
  Stored stored = {0};
  int result = -1;
  switch (format(bytes, count, message)) {
  case JPEG:
    result = jpeg_header(bytes, count, pixelLimit, &stored, message);
    break;
  case PNG:
    result = png_header(bytes, count, pixelLimit, &stored, message);
    break;
  case UNKNOWN:
    break;
  }
  if (result != 0) return result;
  *header = upright_header(&stored);
  return 0;
}

int ci_decode(const uint8_t *bytes, size_t count, const CIHeader *header, uint8_t *pixels,
              char *message) {
  int exchanged = turn_of(header->orientation).exchanges;
  Stored stored = {.width = exchanged ? header->height : header->width,
                   .height = exchanged ? header->width : header->height,
                   .channels = header->channels,
                   .orientation = header->orientation};
  uint8_t *target = pixels;
  if (stored.orientation != 1) {
    target = malloc((size_t)stored.width * (size_t)stored.height * (size_t)stored.channels);
    if (!target) return failed(message, "not enough memory");
  }
  int result = format(bytes, count, message) == JPEG
                   ? jpeg_pixels(bytes, count, &stored, target, message)
                   : png_pixels(bytes, count, &stored, target, message);
  if (target != pixels) {
    if (result == 0) {
      turn_upright(target, (size_t)stored.width * (size_t)stored.channels, stored.width,
                   stored.height, stored.channels, stored.orientation, pixels);
    }
    free(target);
  }
  return result;
}
