/* A report as outsiders read it: libxml2 as strict XML, libjpeg for the pictures. */
#ifndef FNR_TESTS_REPORT_PAGE_H
#define FNR_TESTS_REPORT_PAGE_H

#include "tests/support/support.h"

#include <jpeglib.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include "src/core/fs.h"

typedef struct {
    char *text;
    size_t size;
    xmlDocPtr doc;
    xmlXPathContextPtr xpath;
} page;

static inline const char *report_path(void)
{
    static char path[FNR_PATH_MAX];
    fnr_error err = {0};
    assert_ok(fnr_path_join(path, fnr_test_tmpdir(), "report.html", &err), err);
    return path;
}

static inline page read_page(void)
{
    page p;
    fnr_error err = {0};
    assert_ok(fnr_read_file(report_path(), 1u << 28, &p.text, &p.size, &err), err);
    p.doc = xmlReadMemory(p.text, (int)p.size, "report.html", NULL, XML_PARSE_NONET | XML_PARSE_HUGE);
    assert_non_null(p.doc); /* well-formed */
    p.xpath = xmlXPathNewContext(p.doc);
    xmlXPathRegisterNs(p.xpath, BAD_CAST "h", BAD_CAST "http://www.w3.org/1999/xhtml");
    xmlXPathRegisterNs(p.xpath, BAD_CAST "s", BAD_CAST "http://www.w3.org/2000/svg");
    return p;
}

static inline void free_page(page *p)
{
    xmlXPathFreeContext(p->xpath);
    xmlFreeDoc(p->doc);
    free(p->text);
}

static inline double count(const page *p, const char *expression)
{
    xmlXPathObjectPtr o = xmlXPathEvalExpression(BAD_CAST expression, p->xpath);
    assert_non_null(o);
    const double n = o->nodesetval ? o->nodesetval->nodeNr : 0;
    xmlXPathFreeObject(o);
    return n;
}

/* Text of the first match; free with xmlFree. */
static inline char *text_of(const page *p, const char *expression)
{
    xmlXPathObjectPtr o = xmlXPathEvalExpression(BAD_CAST expression, p->xpath);
    assert_non_null(o);
    char *text = (char *)xmlXPathCastToString(o);
    xmlXPathFreeObject(o);
    return text;
}

static inline void check_text(const page *p, const char *expression, const char *expected)
{
    char *text = text_of(p, expression);
    assert_string_equal(text, expected);
    xmlFree(text);
}

static inline void check_mentions(const page *p, const char *expression, const char *part)
{
    char *text = text_of(p, expression);
    if (!strstr(text, part)) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
    xmlFree(text);
}

typedef struct {
    int w, h;
    unsigned char *rgb;
} picture;

static inline size_t from_base64(const char *text, unsigned char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    unsigned bits = 0;
    int have = 0;
    for (; *text && *text != '='; text++) {
        const char *d = strchr(digits, *text);
        assert_non_null(d);
        bits = bits << 6 | (unsigned)(d - digits);
        if ((have += 6) >= 8) {
            out[n++] = (unsigned char)(bits >> (have -= 8));
        }
    }
    return n;
}

static inline picture decode(const page *p, const char *expression)
{
    char *uri = text_of(p, expression);
    const char *text = strchr(uri, ',');
    assert_non_null(text);
    unsigned char *bytes = malloc(strlen(text));
    const size_t size = from_base64(text + 1, bytes);
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr fatal;
    c.err = jpeg_std_error(&fatal);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, bytes, size);
    jpeg_read_header(&c, TRUE);
    c.out_color_space = JCS_RGB;
    jpeg_start_decompress(&c);
    picture im = {.w = (int)c.output_width, .h = (int)c.output_height};
    im.rgb = malloc(3u * c.output_width * c.output_height);
    while (c.output_scanline < c.output_height) {
        JSAMPROW row = im.rgb + 3u * c.output_width * c.output_scanline;
        jpeg_read_scanlines(&c, &row, 1);
    }
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
    free(bytes);
    xmlFree(uri);
    return im;
}

static inline void check_colour(const picture *im, int x, int y, int r, int g, int b)
{
    const unsigned char *p = im->rgb + 3 * (y * im->w + x);
    if (abs(p[0] - r) > 30 || abs(p[1] - g) > 30 || abs(p[2] - b) > 30) {
        fail_msg("pixel (%d, %d) is %d %d %d, not about %d %d %d", x, y, p[0], p[1], p[2], r, g, b);
    }
}

#endif
