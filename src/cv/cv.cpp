/* The only C++ file: OpenCV behind the C functions of cv.h. */
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/video/tracking.hpp>

/* The C headers initialise structs by member name, which g++ -Wextra takes for forgotten members. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "src/cv/cv.h"
}
#pragma GCC diagnostic pop

namespace
{

int stay_silent(int, const char *, const char *, const char *, int, void *)
{
    return 0;
}

/* Where its build or OPENCV_DUMP_ERRORS says so, OpenCV prints every exception before throwing it, and it logs about plugins;
 * both end here, once per process. */
void silence_opencv()
{
    static const bool done = [] {
        cv::redirectError(stay_silent);
        cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
        return true;
    }();
    (void)done;
}

fnr_code code_of(const cv::Exception &e)
{
    switch (e.code) {
    case cv::Error::StsNoMem:
        return FNR_E_LIMIT;
    case cv::Error::StsNoConv:
    case cv::Error::StsDivByZero:
        return FNR_E_NUMERIC;
    default:
        return FNR_E_INTERNAL;
    }
}

/* Runs OpenCV code; whatever it throws becomes an error "OpenCV could not WHAT: its text". */
template <class Body> bool guarded(const char *what, fnr_error *err, Body body)
{
    try {
        silence_opencv();
        return body();
    } catch (const cv::Exception &e) {
        std::string text = e.err;
        for (char &c : text) {
            c = c == '\n' ? ' ' : c;
        }
        return fnr_fail(err, code_of(e), "OpenCV could not %s: %s (%s)", what, text.c_str(), e.func.c_str());
    } catch (const std::bad_alloc &) {
        return fnr_fail(err, FNR_E_LIMIT, "OpenCV could not %s: out of memory", what);
    } catch (const std::exception &e) {
        return fnr_fail(err, FNR_E_INTERNAL, "OpenCV could not %s: %s", what, e.what());
    } catch (...) {
        return fnr_fail(err, FNR_E_INTERNAL, "OpenCV could not %s: unknown exception", what);
    }
}

int cv_type(fnr_dtype t)
{
    return t == FNR_U8 ? CV_8UC1 : t == FNR_U16 ? CV_16UC1 : CV_32FC1;
}

void check_plane(const fnr_view *v, bool any_type)
{
    if (!v->px || v->w < 1 || v->h < 1 || v->d != 1 || v->c != 1 || (!any_type && v->dtype != FNR_F32)) {
        CV_Error(cv::Error::StsBadArg,
                 any_type ? "a single-channel 2D image is needed" : "a single-channel 2D float image is needed");
    }
}

/* cv::Mat needs dense rows that lie below each other. */
bool fits_mat(const fnr_view *v)
{
    const ptrdiff_t size = (ptrdiff_t)fnr_dtype_size(v->dtype);
    return v->sx == size && v->sy >= v->w * size && v->sy % size == 0;
}

cv::Mat wrap(const fnr_view *v)
{
    return cv::Mat(v->h, v->w, cv_type(v->dtype), v->px, (size_t)v->sy);
}

/* A matrix with the pixels of v: its own memory where the strides allow, a copy otherwise. */
cv::Mat input(const fnr_view *v, bool any_type = false)
{
    check_plane(v, any_type);
    if (fits_mat(v)) {
        return wrap(v);
    }
    cv::Mat m(v->h, v->w, cv_type(v->dtype));
    for (int y = 0; y < v->h; y++) {
        for (int x = 0; x < v->w; x++) {
            memcpy(m.ptr(y) + (size_t)x * m.elemSize(), fnr_at(v, x, y, 0, 0), m.elemSize());
        }
    }
    return m;
}

/* Hands a float result to the caller's view. */
void store(const cv::Mat &m, fnr_view *dst)
{
    check_plane(dst, false);
    CV_Assert(m.type() == CV_32FC1 && m.rows == dst->h && m.cols == dst->w);
    if (fits_mat(dst)) {
        cv::Mat out = wrap(dst);
        m.copyTo(out);
        return;
    }
    for (int y = 0; y < dst->h; y++) {
        for (int x = 0; x < dst->w; x++) {
            *static_cast<float *>(fnr_at(dst, x, y, 0, 0)) = m.at<float>(y, x);
        }
    }
}

/* Lets OpenCV write straight into the caller's view where the strides allow. */
template <class Body> void write_result(fnr_view *dst, Body body)
{
    check_plane(dst, false);
    cv::Mat out = fits_mat(dst) ? wrap(dst) : cv::Mat(dst->h, dst->w, CV_32FC1);
    body(out);
    if (out.data != dst->px) {
        store(out, dst);
    }
}

/* INTER_AREA averages only where both axes shrink, so that a mixed change of size takes two steps. */
void resize_float(const cv::Mat &src, cv::Mat &out)
{
    const cv::Size small(std::min(src.cols, out.cols), std::min(src.rows, out.rows));
    if (small == out.size()) {
        cv::resize(src, out, out.size(), 0, 0, cv::INTER_AREA);
    } else if (small == src.size()) {
        cv::resize(src, out, out.size(), 0, 0, cv::INTER_LINEAR);
    } else {
        cv::Mat step;
        cv::resize(src, step, small, 0, 0, cv::INTER_AREA);
        cv::resize(step, out, out.size(), 0, 0, cv::INTER_LINEAR);
    }
}

/* [lo, hi] -> [0, 255]; NaN becomes 0. */
cv::Mat to_bytes(const cv::Mat &m, double lo, double hi)
{
    cv::Mat clean = m.clone(), out;
    cv::patchNaNs(clean, lo);
    clean.convertTo(out, CV_8U, 255.0 / (hi - lo), -lo * 255.0 / (hi - lo));
    return out;
}

cv::Mat blurred(const cv::Mat &m, double sigma)
{
    if (!(sigma > 0)) {
        return m;
    }
    cv::Mat out;
    cv::GaussianBlur(m, out, cv::Size(0, 0), sigma, sigma, cv::BORDER_REFLECT_101);
    return out;
}

bool check_sigma(double sigma, fnr_error *err)
{
    return (sigma >= 0 && sigma <= FNR_CV_MAX_SIGMA) ||
           fnr_fail(err, FNR_E_INTERNAL, "a Gaussian of %g px was asked for; 0 to %g px can be made", sigma, FNR_CV_MAX_SIGMA);
}

cv::Mat matrix_of(const fnr_transform &t)
{
    return (cv::Mat_<float>(2, 3) << (float)t.m00, (float)t.m01, (float)t.m02, (float)t.m10, (float)t.m11, (float)t.m12);
}

bool is_rigid(const fnr_transform *t)
{
    return !fnr_transform_is_mirrored(t) && std::abs(fnr_transform_scale(t) - 1) < 1e-6 && fnr_transform_shear(t) < 1e-6;
}

} // namespace

extern "C" {

void fnr_cv_set_threads(int n)
{
    guarded("set its number of threads", nullptr, [&] {
        /* More than there are processors would make TBB print a warning. */
        cv::setNumThreads(n > 0 ? std::min(n, cv::getNumberOfCPUs()) : -1);
        return true;
    });
}

bool fnr_cv_resize(const fnr_view *src, fnr_view *dst, fnr_error *err)
{
    return guarded("resize an image", err, [&] {
        cv::Mat in = input(src, true);
        if (in.type() != CV_32FC1) {
            in.convertTo(in, CV_32F);
        }
        write_result(dst, [&](cv::Mat &out) { resize_float(in, out); });
        return true;
    });
}

bool fnr_cv_blur(const fnr_view *src, double sigma, fnr_view *dst, fnr_error *err)
{
    if (!check_sigma(sigma, err)) {
        return false;
    }
    return guarded("blur an image", err, [&] {
        const cv::Mat in = input(src);
        CV_Assert(src->w == dst->w && src->h == dst->h);
        if (sigma == 0) {
            store(in, dst);
        } else {
            write_result(dst,
                         [&](cv::Mat &out) { cv::GaussianBlur(in, out, cv::Size(0, 0), sigma, sigma, cv::BORDER_REFLECT_101); });
        }
        return true;
    });
}

bool fnr_cv_flow_dis(const fnr_view *fixed, const fnr_view *moving, double lo, double hi, fnr_view *u, fnr_view *v,
                     fnr_error *err)
{
    if (!(hi > lo) || !std::isfinite(lo) || !std::isfinite(hi)) {
        return fnr_fail(err, FNR_E_NUMERIC, "optical flow needs a range of values, not %g to %g", lo, hi);
    }
    return guarded("compute optical flow", err, [&] {
        const cv::Mat a = to_bytes(input(fixed), lo, hi), b = to_bytes(input(moving), lo, hi);
        cv::Mat flow, parts[2];
        cv::DISOpticalFlow::create(cv::DISOpticalFlow::PRESET_MEDIUM)->calc(a, b, flow);
        cv::split(flow, parts);
        store(parts[0], u);
        store(parts[1], v);
        return true;
    });
}

bool fnr_cv_ecc(const fnr_view *fixed, const fnr_view *moving, const fnr_view *mask, bool affine, int iterations, double epsilon,
                double blur_sigma, fnr_transform *t, double *correlation, fnr_error *err)
{
    if (!check_sigma(blur_sigma, err)) {
        return false;
    }
    if (!affine && !is_rigid(t)) {
        return fnr_fail(err, FNR_E_INTERNAL, "euclidean ECC must start from a rigid transform");
    }
    /* OpenCV masks its *input* image.  Ours masks the fixed one, so with a mask the roles change and the inverse is sought. */
    fnr_transform start = *t;
    if (mask && !fnr_transform_invert(t, &start, err)) {
        return false;
    }
    return guarded("refine a transform (ECC)", err, [&] {
        const cv::Mat a = blurred(input(fixed), blur_sigma), b = blurred(input(moving), blur_sigma);
        const cv::Mat where = mask ? input(mask, true) : cv::Mat();
        CV_Assert(!mask || (where.type() == CV_8UC1 && where.size() == a.size()));
        cv::Mat m = matrix_of(start);
        const cv::TermCriteria stop(cv::TermCriteria::COUNT | cv::TermCriteria::EPS, iterations, epsilon);
        const double rho = cv::findTransformECC(mask ? b : a, mask ? a : b, m, affine ? cv::MOTION_AFFINE : cv::MOTION_EUCLIDEAN,
                                                stop, where, 1);
        fnr_transform found = start;
        found.m00 = m.at<float>(0, 0), found.m01 = m.at<float>(0, 1), found.m02 = m.at<float>(0, 2);
        found.m10 = m.at<float>(1, 0), found.m11 = m.at<float>(1, 1), found.m12 = m.at<float>(1, 2);
        if (!std::isfinite(rho) || !fnr_transform_is_finite(&found)) {
            return fnr_fail(err, FNR_E_NUMERIC, "ECC refinement did not converge");
        }
        if (mask && !fnr_transform_invert(&found, &found, err)) {
            return false;
        }
        *t = found;
        *correlation = rho;
        return true;
    });
}

} // extern "C"
