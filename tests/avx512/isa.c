/* Stands in for oneDNN's answer (ld --wrap): a processor with AVX-512 and VNNI. */
#include <oneapi/dnnl/dnnl.h>

dnnl_cpu_isa_t __wrap_dnnl_get_effective_cpu_isa(void);

dnnl_cpu_isa_t __wrap_dnnl_get_effective_cpu_isa(void)
{
    return dnnl_cpu_isa_avx512_core_vnni;
}
