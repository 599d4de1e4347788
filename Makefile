# fnet-register: register electron micrographs to immunofluorescence montages.  `make help` lists the targets.
# One Makefile for everything: sources are found by folder, so that adding a file needs no edit here.

VERSION := 0.1.0
PREFIX  ?= /usr/local
BUILD   ?= build
CC      ?= cc
CXX     ?= c++
OPT     ?= -O2
JOBS    ?= $(shell nproc)

# make SAN=1: AddressSanitizer and UndefinedBehaviorSanitizer, in a folder of their own.
ifeq ($(SAN),1)
override BUILD := $(BUILD)-san
SANFLAGS := -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT     := -O1
endif

PKGS    := libtiff-4 libxml-2.0 libcjson gsl fftw3f libmd zlib libpng
PKGINC  := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKGLIB  := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CVINC   := -isystem /usr/include/opencv4
CVLIB   := -lopencv_video -lopencv_imgproc -lopencv_core
LIBS    := $(PKGLIB) -ldnnl -linih -ljpeg $(CVLIB) -lstdc++ -lm -lpthread

# OpenMP only where the compiler's own runtime is libgomp, which oneDNN uses: two pools would fight for the processors.
CLANG   := $(findstring clang,$(shell $(CC) --version 2>/dev/null))
OPENMP  := $(if $(CLANG),,-fopenmp)
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla $(if $(CLANG),,-Wno-format-truncation)
# Instrumented code draws warnings of its own (-Wconversion behind float-cast-overflow): there they are no errors.
FATAL   := $(if $(WERROR),$(if $(SAN),,-Werror))
CWARN   := $(WARN) $(FATAL)
CPPFLAGS += -I. -I$(BUILD) $(PKGINC) -D_GNU_SOURCE -DFNR_VERSION='"$(VERSION)"' -MMD -MP
CFLAGS  += -std=c17 $(OPT) -g $(CWARN) $(SANFLAGS) $(OPENMP)
CXXFLAGS += -std=c++17 $(OPT) -g -Wall -Wextra -Wshadow $(FATAL) $(SANFLAGS) $(CVINC)
LDFLAGS += $(SANFLAGS) $(OPENMP)

# ---- CUDA: a plug-in, built where nvcc and cuDNN 9 are found.  CUDA=0 leaves it out, CUDA=1 insists.  CUDA_HOME, CUDNN_HOME: where.
CUDA    ?= auto
CUDA_HOME ?= $(firstword $(wildcard /usr/local/cuda) $(patsubst %/bin/nvcc,%,$(shell command -v nvcc 2>/dev/null)))
NVCC    := $(wildcard $(CUDA_HOME)/bin/nvcc)
CUDNN_H := $(firstword $(wildcard $(addsuffix /include/cudnn.h,$(CUDNN_HOME) $(CUDA_HOME) /usr)))
CUDNN_SO := $(firstword $(wildcard $(addsuffix /libcudnn.so.9,$(CUDNN_HOME)/lib $(CUDNN_HOME)/lib64 $(CUDA_HOME)/lib64 $(CUDA_HOME)/lib /usr/lib/x86_64-linux-gnu)))
CUDAINC := $(addprefix -isystem ,$(sort $(CUDA_HOME)/include $(filter-out /usr/include,$(CUDNN_H:/cudnn.h=))))
HAVE_CUDA := $(if $(filter 0,$(CUDA)),,$(and $(NVCC),$(CUDNN_H),$(CUDNN_SO),yes))
ifeq ($(CUDA)$(HAVE_CUDA),1)
$(error CUDA=1, but there is no $(if $(NVCC),cuDNN 9 (CUDNN_HOME),nvcc (CUDA_HOME)))
endif
# The other builds (sanitizers, clang) compile the plug-in's C with its tests, but not the kernels again: they take long.
PLUGIN  := $(if $(HAVE_CUDA),$(if $(SAN)$(CLANG),,$(BUILD)/libfnr-cuda.so))
CUDASRC := $(if $(HAVE_CUDA),$(wildcard net/cuda/*.c))
CUDAOBJ := $(CUDASRC:%.c=$(BUILD)/%.o)
KERNELS := $(patsubst %.cu,$(BUILD)/%.cu.o,$(wildcard net/cuda/*.cu))
# What the plug-in needs of the rest, compiled again so that it can be part of a shared object.
PLUGINSRC := src/core/err.c src/core/mem.c src/core/rng.c src/core/text.c net/graph.c net/graph_check.c net/shape.c
PLUGINOBJ := $(PLUGINSRC:%.c=$(BUILD)/pic/%.o)
# The backend's C on a pretended GPU (tests/cuda/emulated_*.c), as a plug-in: every test of tests/backend can run on it.
EMULATED := $(if $(HAVE_CUDA),$(BUILD)/tests/cuda/emulated.so)
EMULATEDOBJ := $(filter-out $(BUILD)/net/cuda/dnn.o $(BUILD)/net/cuda/nccl.o,$(CUDAOBJ)) $(PLUGINOBJ) \
	   $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(wildcard tests/cuda/emulated_*.c))
# Some of these tests with the loops for AVX-512, on pretended instructions (tests/avx512): they run on every machine.
AVX512OBJ := $(patsubst net/%.c,$(BUILD)/avx512/net/%.o,$(wildcard net/onednn/*_avx512.c net/onednn/*_vnni.c)) $(BUILD)/tests/avx512/isa.o
AVX512  := $(if $(CLANG)$(SAN),,$(addprefix $(BUILD)/tests/avx512/,backend/test_conv backend/test_parity backend/test_int8 backend/test_fixtures))
# Machine code for A100 and H100/H200; newer GPUs translate the PTX.
NVFLAGS := -std=c++17 -O3 -Werror all-warnings -lineinfo -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
	   -gencode arch=compute_90,code=compute_90 -Xcompiler -fPIC,-fvisibility=hidden

LIBSRC  := $(wildcard src/core/*.c src/image/*.c src/geom/*.c src/cv/*.c src/pipeline/*.c src/sim/*.c net/*.c net/ref/*.c net/onednn/*.c montage/*.c register/*.c)
CLISRC  := $(wildcard src/cli/*.c)
LIBOBJ  := $(LIBSRC:%.c=$(BUILD)/%.o) $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard src/cv/cv.cpp))
CLIOBJ  := $(CLISRC:%.c=$(BUILD)/%.o)
LIB     := $(BUILD)/libfnr.a
EXE     := $(BUILD)/fnet-register
TESTSRC := $(wildcard tests/*/test_*.c)
TESTS   := $(TESTSRC:tests/%.c=$(BUILD)/tests/%)
TESTLIB := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(wildcard tests/support/*.c))
BENCHES := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/bench_*.c))
FULLS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/full/full_*.c))

.PHONY: all help deps test-deps lib tests test-some benches check check-full test install uninstall clean demo demo-model nerve-model bench bench-net fuzz bench-nerve bench-int8 bench-wrong bench-paper90 bench-predict bench-large bench-bias bench-paper-transforms bench-crossval calibrate-verdict bench-cuda check-cuda
.DEFAULT_GOAL := all

all: $(EXE) $(PLUGIN) ## build the program

help: ## list the targets
	@echo 'fnet-register $(VERSION): make targets'
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' Makefile | sort | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 16
	@echo 'Variables: PREFIX=$(PREFIX)  BUILD=$(BUILD)  SAN=1 (sanitizers)  WERROR=1  CUDA=auto|0|1  CC=gcc|clang'

lib: $(LIB)
tests: $(TESTS) $(EMULATED) $(AVX512) ## build the unit tests
# Tests of some folders only: make test-some AREAS="core net"
test-some: $(foreach a,$(AREAS),$(filter $(BUILD)/tests/$(a)/%,$(TESTS)))
benches: $(BENCHES)

# Long loops over pixels: vectors pay here.  errno after sqrt is nobody's business.
HOT     := src/cv/fft register/blur register/coarse_score register/coarse_search register/template register/background register/target register/refine register/match register/normal register/local register/flow
ifneq ($(SAN),1)
$(HOT:%=$(BUILD)/%.o): OPT := -O3 -fno-math-errno
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(BUILD)/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c $< -o $@

$(CUDAOBJ): CPPFLAGS += $(CUDAINC)
$(CUDAOBJ) $(PLUGINOBJ): CFLAGS += -fPIC -fvisibility=hidden
$(BUILD)/tests/cuda/%.o: CPPFLAGS += $(if $(HAVE_CUDA),$(CUDAINC) -DFNR_HAVE_CUDA)

$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(BUILD)/net/cuda/kernels_feed.cu.o: NVFLAGS += --fmad=false
$(BUILD)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) -I. $(NVFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

# The CUDA runtime is linked in, so that only the driver and cuDNN must be on the machine; NCCL is loaded when it is needed.
$(BUILD)/libfnr-cuda.so: $(CUDAOBJ) $(PLUGINOBJ) $(KERNELS)
	$(CC) -shared $(LDFLAGS) -Wl,--no-undefined -Wl,-soname,$(@F) $^ -L$(CUDA_HOME)/lib64 -lcudart_static $(CUDNN_SO) \
	    -Wl,-rpath,$(abspath $(dir $(CUDNN_SO))) -lstdc++ -ldl -lrt -lpthread -lm -o $@

$(BUILD)/tests/cuda/emulated_%.o: CFLAGS += -fPIC -fvisibility=hidden
$(BUILD)/tests/cuda/emulated.so: $(EMULATEDOBJ)
	$(CC) -shared $(LDFLAGS) $^ -ldl -lpthread -lm -o $@

# cuDNN itself, asked without a GPU.
ifneq ($(HAVE_CUDA),)
$(BUILD)/tests/cuda/test_dnn: $(BUILD)/net/cuda/dnn.o $(BUILD)/net/cuda/gpu.o
$(BUILD)/tests/cuda/test_dnn: LIBS += -L$(CUDA_HOME)/lib64 -lcudart_static $(CUDNN_SO) -Wl,-rpath,$(abspath $(dir $(CUDNN_SO))) -ldl -lrt
endif

$(BUILD)/avx512/%.o: %.c tests/avx512/pretended.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -include tests/avx512/pretended.h -c $< -o $@

$(AVX512): $(BUILD)/tests/avx512/%: $(BUILD)/tests/%.o $(AVX512OBJ) $(TESTLIB) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -Wl,--wrap=dnnl_get_effective_cpu_isa $^ -lcmocka $(LIBS) -o $@

$(LIB): $(LIBOBJ)
	@rm -f $@
	ar rcs $@ $^

$(EXE): $(CLIOBJ) $(LIB)
	$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TESTLIB) $(LIB)
	$(CC) $(LDFLAGS) $^ -lcmocka $(LIBS) -o $@

deps: ## install what the build needs (apt; without root it prints the command)
	@.ci/deps.sh build

test-deps:
	@.ci/deps.sh test

check: ## look at the sources: include layers, headers, forbidden calls, sizes, words
	@status=0; for c in tests/check/check_*.sh; do $$c . || status=1; done; exit $$status

# Dependencies first, in a make of its own: pkg-config is asked while the Makefile is read.
test: ## install what is missing, build, run every test (FILTER=area/name: some of them, without sanitizers)
	@$(MAKE) --no-print-directory test-deps
	@$(if $(FILTER),$(MAKE) --no-print-directory -j$(JOBS) all tests && tests/run.sh $(BUILD) $(FILTER),JOBS=$(JOBS) MAKE="$(MAKE)" tests/all.sh $(BUILD))

# PARTS="slow isa threads course2d course3d" narrows it; FNR_TORCH names the Python with PyTorch.
check-full: tests $(FULLS) ## the long checks: slow cases, AVX2, odd numbers of threads, training courses against PyTorch (20 minutes)
	@tests/full/check_full.sh $(BUILD) $(PARTS)

# ---- demonstrations, models, measurements ----------------------------------------------------------------------------------------
FNR_SHARED ?= ../shared
NERVE   := $(FNR_SHARED)/data/nerve

demo: ## a synthetic section, registered and compared with its exact truth (under 3 minutes)
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/bench/demo.sh $(BUILD) demo-out

demo-model: $(EXE) ## train examples/models/demo.safetensors on synthetic sections (about 10 minutes)
	tests/bench/demo_model.sh $(BUILD) examples/models/demo.safetensors

nerve-model: $(EXE) ## train examples/models/nerve-mbp-fast.safetensors on the nerve sections A, B, C (under 30 minutes)
	tests/bench/nerve_model.sh $(BUILD) examples/models/nerve-mbp-fast.safetensors

bench: bench-net bench-nerve ## measure: speed of the network, registration of the nerve sections

# Narrow it with CASES="train2d-8 infer2d", VARIANTS="1.13,channels_last fold", ROUNDS=3, QUICK=1, FNR_BENCH_THREADS=2.
# TORCH_PYTHONS names the interpreters to compare with; unless it is given, the newest PyTorch is put into a folder of its own.
TORCH_VENV := build/torch-venv
TORCH_PYTHONS ?= /usr/bin/python3 $(TORCH_VENV)/bin/python
RESULT_FILE = $(if $(RESULT),| tee tests/bench/results/net.txt)

bench-net: $(BUILD)/tests/bench/bench_net ## compare training steps and predictions with PyTorch (RESULT=1 keeps the table)
	@$(if $(filter file,$(origin TORCH_PYTHONS)),tests/bench/torch_venv.sh $(TORCH_VENV))
	@if command -v python3 >/dev/null; then \
	    python3 tests/bench/compare_net.py $(BUILD) --cases "$(CASES)" --rounds $(or $(ROUNDS),5) --variants "$(VARIANTS)" \
	        --pythons "$(TORCH_PYTHONS)" $(if $(QUICK),--quick) $(RESULT_FILE); \
	else echo 'no python3: our own times only'; $<; fi

fuzz: ## fuzz the readers of foreign files (needs clang): SECONDS=60 for each of TARGETS="tiff onnx ..."
	@tests/fuzz/run.sh $(or $(SECONDS),60) $(TARGETS)

bench-cuda: all $(BUILD)/tests/bench/bench_cuda ## time training and prediction on the GPU, and PyTorch beside it (RESULT=1 keeps the table)
	@{ echo "commit $$(git rev-parse HEAD 2>/dev/null)"; nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || true; \
	for p in bf16 tf32 float32; do FNR_CUDA_PLUGIN=$(abspath $(BUILD))/libfnr-cuda.so $(BUILD)/tests/bench/bench_cuda $$p || exit 1; done; \
	python3 tests/bench/torch_cuda.py; } $(if $(RESULT),| tee tests/bench/results/cuda.txt)

check-cuda: all tests ## everything about the CUDA backend that needs a GPU, with compute-sanitizer
	@tests/cuda/gpu.sh $(BUILD)

bench-nerve: $(EXE) ## register the nerve sections D and D_widefield, compare with the truth
	@tests/bench/bench_nerve.sh $(BUILD)

bench-int8: $(EXE) ## how far int8 moves the tiles of the nerve sections, against float32
	@tests/bench/bench_int8.sh $(BUILD)

bench-wrong: $(EXE) $(BUILD)/tests/bench/bench_change_montage ## register against wrong, mirrored and scrambled montages: nothing may be called good
	@tests/bench/bench_wrong.sh $(BUILD)

bench-predict: $(BUILD)/tests/bench/bench_predict ## time and memory of whole predictions, images of 1504 to 4096 px and stacks (MIB=1024: with so much)
	@$< $(MIB)

bench-large: $(BUILD)/tests/bench/bench_large ## time and memory per tile on montages of 2048 and 20,000 px
	@$<

bench-bias: $(BUILD)/tests/bench/bench_bias ## sub-pixel bias: shifts by tenths of a pixel
	@$<

bench-paper-transforms: $(BUILD)/tests/bench/bench_paper_transforms ## the paper's 90 transforms as truth of simulated tiles: all must be found
	@R=$(FNR_SHARED)/data/paper90/registrations.csv; [ -e $$R ] || { echo "skipped: no $$R"; exit 0; }; $< $$R ground_truth_forrest && $< $$R ground_truth_sharmi

bench-crossval: $(EXE) $(BUILD)/tests/bench/bench_change_montage ## sections A, B, C, each with a network trained on the others (trains: an hour)
	@tests/bench/bench_crossval.sh $(BUILD) $(BUILD)/crossval

calibrate-verdict: $(EXE) $(BUILD)/tests/bench/bench_change_montage $(BUILD)/tests/bench/bench_register $(BUILD)/tests/bench/bench_calibrate ## fit register/probability.c anew (after bench-crossval: half an hour)
	@tests/bench/calibrate_verdict.sh $(BUILD) $(BUILD)/crossval

bench-paper90: $(EXE) ## compare the paper's own 90 registrations with its two annotators
	@R=$(FNR_SHARED)/data/paper90/registrations.csv; [ -e $$R ] || { echo "skipped: no $$R"; exit 0; }; \
	for published in '' --as-published; do \
	    echo "errors over 1500 x 1500 EM px $$published"; \
	    $(EXE) evaluate $$R:predicted_tform --manual $$R:ground_truth_forrest --manual $$R:ground_truth_sharmi \
	        --tile-column path_signal --tile-px 1500 $$published | grep -v '\.tif \|^tile '; echo; \
	done

SHARE   := $(DESTDIR)$(PREFIX)/share
CONFIGS := $(wildcard configs/*.ini)
MANPAGE := $(wildcard src/cli/fnet-register.1)

install: $(EXE) $(PLUGIN) ## install below PREFIX (and DESTDIR)
	install -D -m 755 $(EXE) "$(DESTDIR)$(PREFIX)/bin/fnet-register"
	$(if $(PLUGIN),install -D -m 755 $(PLUGIN) "$(DESTDIR)$(PREFIX)/lib/fnet-register/libfnr-cuda.so")
	install -D -m 644 LICENSE "$(SHARE)/doc/fnet-register/LICENSE"
	$(if $(MANPAGE),install -D -m 644 $(MANPAGE) "$(SHARE)/man/man1/fnet-register.1")
	$(if $(CONFIGS),install -d "$(SHARE)/fnet-register/configs" && install -m 644 $(CONFIGS) "$(SHARE)/fnet-register/configs")

uninstall: ## remove what install put there
	rm -f "$(DESTDIR)$(PREFIX)/lib/fnet-register/libfnr-cuda.so"
	rm -f "$(DESTDIR)$(PREFIX)/bin/fnet-register" "$(SHARE)/man/man1/fnet-register.1" "$(SHARE)/doc/fnet-register/LICENSE"
	$(if $(CONFIGS),rm -f $(patsubst %,"$(SHARE)/fnet-register/%",$(CONFIGS)))
	@rmdir "$(DESTDIR)$(PREFIX)/lib/fnet-register" "$(SHARE)/fnet-register/configs" "$(SHARE)/fnet-register" "$(SHARE)/doc/fnet-register" 2>/dev/null || true

clean: ## remove everything that was built
	rm -rf build build-san build-clang

.SECONDARY:
-include $(CUDAOBJ:.o=.d) $(EMULATEDOBJ:.o=.d) $(PLUGINOBJ:.o=.d) $(KERNELS:.o=.d)
-include $(LIBOBJ:.o=.d) $(CLIOBJ:.o=.d) $(TESTS:=.d) $(TESTLIB:.o=.d)
