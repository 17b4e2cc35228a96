/* The frame reader: any cut of a stream yields the same frames. */
#include "support.h"

#include "../../csrc/core/rng.h"
#include "../../csrc/core/wire/frame.h"

static byn_test_alloc test;
static byn_alloc alloc;
static byn_frame_reader reader;
static byn_buf stream;

static int set_up(void **state) {
  (void)state;
  test = (byn_test_alloc){0};
  alloc = byn_test_allocator(&test);
  byn_frame_reader_init(&reader, &alloc, BYN_FRAGMENT_SIZE);
  byn_buf_init(&stream, &alloc);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  byn_frame_reader_free(&reader);
  byn_buf_free(&stream);
  byn_test_assert_clean(&test);
  return 0;
}

/* A frame whose payload is n times the byte n. */
static void put_frame(uint8_t type, size_t n) {
  uint8_t *at = byn_put_space(&stream, BYN_FRAME_HEADER + n);
  assert_non_null(at);
  byn_frame_header(at, (byn_frame_type)type, n);
  memset(at + BYN_FRAME_HEADER, (int)(n & 0xff), n);
}

/* Checks a piece, whose payload begins at byte *at of the frame that put_frame
 * made; answers whether the frame is whole, and where the next one begins. */
static bool assert_piece(const byn_frame *f, uint8_t type, size_t n,
                         size_t *at) {
  assert_int_equal(f->type, type);
  assert_int_equal(f->begins, *at == 0);
  assert_true(f->length > 0 || n == 0);
  assert_true(f->length <= n - *at);
  for (size_t i = 0; i < f->length; i++)
    if (f->payload[i] != (n & 0xff)) fail_msg("byte %zu is wrong", *at + i);
  *at += f->length;
  assert_int_equal(f->ends, *at == n);
  if (f->ends) *at = 0;
  return f->ends;
}

static bool is_data(size_t type) {
  return type == BYN_FRAME_MESSAGE || type == BYN_FRAME_FRAGMENT;
}

static void assert_frame(const byn_frame *f, uint8_t type, size_t n) {
  assert_int_equal(f->type, type);
  assert_int_equal(f->length, n);
  for (size_t i = 0; i < n; i++)
    if (f->payload[i] != (n & 0xff)) fail_msg("byte %zu is wrong", i);
}

static void a_header_is_length_and_type(void **state) {
  static const uint8_t expected[] = {0, 1, 0, 1, 6};
  uint8_t header[BYN_FRAME_HEADER];
  (void)state;
  byn_frame_header(header, BYN_FRAME_MESSAGE, 65536);
  assert_memory_equal(header, expected, sizeof expected);
  assert_int_equal(byn_frame_size(header), 65536 + BYN_FRAME_HEADER);
}

/* Of the i-th frame: every other one is a data frame. */
static uint8_t type_of(size_t i) {
  if (i % 2) return (uint8_t)i;
  return i % 4 ? BYN_FRAME_MESSAGE : BYN_FRAME_FRAGMENT;
}

/* Feeds a copy of each piece, so that a view held too long shows. */
static void read_in_pieces(const size_t *sizes, size_t frames, size_t max,
                           byn_rng *rng) {
  size_t at = 0, seen = 0, within = 0;
  byn_frame f;
  while (at < stream.len) {
    size_t n = 1 + (size_t)byn_rng_below(rng, max);
    uint8_t *piece;
    if (n > stream.len - at) n = stream.len - at;
    piece = malloc(n);
    assert_non_null(piece);
    memcpy(piece, stream.data + at, n);
    at += n;
    byn_frame_reader_feed(&reader, piece, n);
    while (byn_frame_next(&reader, &f) == BYN_FRAME_READ) {
      assert_true(is_data(type_of(seen)) || (f.begins && f.ends));
      seen += assert_piece(&f, type_of(seen), sizes[seen], &within);
    }
    assert_true(byn_frame_reader_is_done(&reader));
    free(piece);
  }
  assert_int_equal(seen, frames);
}

static void any_cut_yields_the_same_frames(void **state) {
  static const size_t pieces[] = {1, 2, 5, 7, 100, 5000, 100000};
  size_t sizes[200];
  byn_rng rng;
  (void)state;
  byn_rng_seed(&rng, 1);
  for (size_t i = 0; i < 200; i++) {
    sizes[i] = (size_t)byn_rng_below(&rng, i % 10 ? 50 : 3000);
    if (i == 76 || i == 77) sizes[i] = BYN_FRAGMENT_SIZE;
    put_frame(type_of(i), sizes[i]);
  }
  for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++)
    read_in_pieces(sizes, 200, pieces[p], &rng);
}

static void frames_in_one_chunk_are_views_and_take_no_memory(void **state) {
  byn_frame f;
  uint64_t calls;
  (void)state;
  put_frame(6, 10);
  put_frame(6, 0);
  put_frame(6, 1000);
  calls = test.calls;
  byn_frame_reader_feed(&reader, stream.data, stream.len);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_ptr_equal(f.payload, stream.data + 5);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_int_equal(f.length, 0);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_ptr_equal(f.payload, stream.data + 25);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_NONE);
  assert_true(test.calls == calls);
}

static byn_frame_status status_of(const char *bytes, size_t n) {
  byn_frame f;
  byn_frame_reader_feed(&reader, (const uint8_t *)bytes, n);
  return byn_frame_next(&reader, &f);
}

static void a_length_of_zero_is_bad(void **state) {
  (void)state;
  assert_int_equal(status_of("\0\0\0\0", 4), BYN_FRAME_BAD);
}

static void a_length_past_the_limit_is_seen_before_its_bytes(void **state) {
  (void)state;
  assert_int_equal(status_of("\0\1", 2), BYN_FRAME_NONE);
  assert_int_equal(status_of("\0\2", 2), BYN_FRAME_TOO_LARGE);
}

static void the_longest_length_is_too_large(void **state) {
  (void)state;
  assert_int_equal(status_of("\xff\xff\xff\xff", 4), BYN_FRAME_TOO_LARGE);
}

static void a_new_limit_holds_for_the_next_frame(void **state) {
  byn_frame f;
  (void)state;
  byn_frame_reader_limit(&reader, 10);
  put_frame(1, 10);
  put_frame(2, 11);
  byn_frame_reader_feed(&reader, stream.data, stream.len);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  byn_frame_reader_limit(&reader, 11);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_frame(&f, 2, 11);
}

static void memory_follows_what_came_not_what_was_promised(void **state) {
  (void)state;
  assert_int_equal(status_of("\0\1\0\1\x9hello", 10), BYN_FRAME_NONE);
  assert_true(test.live_bytes > 0 && test.live_bytes < 1000);
}

/* Feeds copies of the stream up to each of two cuts, and of the rest, and
 * checks what comes of the frames, which have these types and sizes. Answers
 * what the last status was. */
static byn_frame_status read_cut(size_t first, size_t second,
                                 const uint8_t *types, const size_t *sizes,
                                 size_t *seen) {
  size_t ends[] = {first, second, stream.len}, at = 0, within = 0;
  byn_frame_status status = BYN_FRAME_NONE;
  byn_frame f;
  *seen = 0;
  for (size_t i = 0; i < 3 && status == BYN_FRAME_NONE; i++) {
    size_t n = ends[i] - at;
    uint8_t *chunk = malloc(n + 1);
    assert_non_null(chunk);
    memcpy(chunk, stream.data + at, n);
    at += n;
    byn_frame_reader_feed(&reader, chunk, n);
    while ((status = byn_frame_next(&reader, &f)) == BYN_FRAME_READ)
      *seen += assert_piece(&f, types[*seen], sizes[*seen], &within);
    free(chunk);
  }
  return status;
}

static const uint8_t cut_types[] = {BYN_FRAME_FRAGMENT, BYN_FRAME_HEARTBEAT,
                                    BYN_FRAME_MESSAGE, BYN_FRAME_MESSAGE,
                                    BYN_FRAME_HEARTBEAT};
static const size_t cut_sizes[] = {9, 8, 0, 12, 0};

static void put_cut_frames(void) {
  for (size_t i = 0; i < 5; i++)
    put_frame(cut_types[i], cut_sizes[i]);
}

static void frames_may_be_cut_at_every_two_places(void **state) {
  size_t seen;
  (void)state;
  put_cut_frames();
  for (size_t a = 0; a <= stream.len; a++)
    for (size_t b = a; b <= stream.len; b++) {
      assert_int_equal(read_cut(a, b, cut_types, cut_sizes, &seen),
                       BYN_FRAME_NONE);
      assert_int_equal(seen, 5);
    }
}

/* Each allocation of each cut fails once; the frames before it are right. */
static void memory_may_be_short_at_every_cut(void **state) {
  size_t seen, failures = 0;
  (void)state;
  put_cut_frames();
  for (size_t a = 0; a <= stream.len; a++)
    for (uint64_t nth = 1;; nth++) {
      byn_frame_status status;
      byn_test_fail_nth(&test, nth);
      status = read_cut(a, (a + stream.len) / 2, cut_types, cut_sizes, &seen);
      byn_test_fail_nth(&test, 0);
      byn_frame_reader_free(&reader);
      byn_frame_reader_init(&reader, &alloc, BYN_FRAGMENT_SIZE);
      if (status == BYN_FRAME_NONE) {
        assert_int_equal(seen, 5);
        break;
      }
      assert_int_equal(status, BYN_FRAME_NO_MEMORY);
      assert_true(seen < 5);
      failures++;
    }
  assert_true(failures > stream.len / 2);
}

static void the_pieces_of_a_data_frame_are_views(void **state) {
  byn_frame f;
  (void)state;
  put_frame(BYN_FRAME_MESSAGE, 1000);
  byn_frame_reader_feed(&reader, stream.data, 100);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_ptr_equal(f.payload, stream.data + BYN_FRAME_HEADER);
  assert_int_equal(f.length, 95);
  assert_true(f.begins && !f.ends);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_NONE);
  assert_true(byn_frame_reader_is_done(&reader));
  byn_frame_reader_feed(&reader, stream.data + 100, 800);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_ptr_equal(f.payload, stream.data + 100);
  assert_true(!f.begins && !f.ends);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_NONE);
  byn_frame_reader_feed(&reader, stream.data + 900, 105);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_int_equal(f.length, 105);
  assert_true(!f.begins && f.ends);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_NONE);
  assert_null(reader.tail.data);
}

static void a_large_tail_is_given_back(void **state) {
  byn_frame f;
  size_t before;
  (void)state;
  put_frame(BYN_FRAME_GOODBYE, BYN_FRAGMENT_SIZE);
  before = test.live_bytes;
  byn_frame_reader_feed(&reader, stream.data, stream.len - 1);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_NONE);
  byn_frame_reader_feed(&reader, stream.data + stream.len - 1, 1);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_READ);
  assert_frame(&f, BYN_FRAME_GOODBYE, BYN_FRAGMENT_SIZE);
  assert_true(test.live_bytes > before);
  assert_int_equal(byn_frame_next(&reader, &f), BYN_FRAME_NONE);
  assert_int_equal(test.live_bytes, before);
}

static void a_tail_that_finds_no_memory_is_told(void **state) {
  (void)state;
  byn_test_fail_nth(&test, 1);
  assert_int_equal(status_of("\0\0\0\5", 4), BYN_FRAME_NO_MEMORY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_header_is_length_and_type),
      TEST(any_cut_yields_the_same_frames),
      TEST(frames_in_one_chunk_are_views_and_take_no_memory),
      TEST(a_length_of_zero_is_bad),
      TEST(a_length_past_the_limit_is_seen_before_its_bytes),
      TEST(the_longest_length_is_too_large),
      TEST(a_new_limit_holds_for_the_next_frame),
      TEST(memory_follows_what_came_not_what_was_promised),
      TEST(frames_may_be_cut_at_every_two_places),
      TEST(memory_may_be_short_at_every_cut),
      TEST(the_pieces_of_a_data_frame_are_views),
      TEST(a_large_tail_is_given_back),
      TEST(a_tail_that_finds_no_memory_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
