/* Functions of plain values that the processor and CUDA's kernels share: FNR_HD marks them for both. */
#ifndef FNR_CORE_HD_H
#define FNR_CORE_HD_H

#ifdef __CUDACC__
#define FNR_HD __host__ __device__ __forceinline__
#else
#define FNR_HD inline
#endif

#endif
