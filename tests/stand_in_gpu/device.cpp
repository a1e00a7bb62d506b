// A GPU in the processor's memory, for machines without one: a build of torch without CUDA takes it for its CUDA device.
//
// Every operator runs on the CPU, but refuses tensors that a GPU could not reach, as CUDA's kernels do. So what fails on a GPU
// because of where its tensors lie fails here. It says nothing about speed, memory, or the kernels' numbers.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <mutex>
#include <set>

using at::Tensor;
using c10::Device, c10::DeviceIndex, c10::DeviceType, c10::Stream, c10::SymInt;
using Ints = at::SymIntArrayRef;
using MaybeTensor = std::optional<Tensor>;

namespace {

const Device DEVICE(DeviceType::CUDA, 0);

// -- memory ------------------------------------------------------------------------------------------------

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {data, data, &c10::free_cpu, DEVICE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t bytes) const override { memcpy(to, from, bytes); }
} memory;

std::mutex pinned_lock;
std::set<const void*> pinned;

struct PinnedMemory final : c10::Allocator {
  static void release(void* data) {
    std::lock_guard<std::mutex> guard(pinned_lock);
    pinned.erase(data);
    c10::free_cpu(data);
  }
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? c10::alloc_cpu(bytes) : nullptr;
    std::lock_guard<std::mutex> guard(pinned_lock);
    if (data) pinned.insert(data);
    return {data, data, &release, Device(DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { memcpy(to, from, bytes); }
} pinned_memory;

// -- one device, one stream --------------------------------------------------------------------------------

struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  Device exchangeDevice(Device) const override { return DEVICE; }
  Device getDevice() const override { return DEVICE; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, DEVICE); }
  Stream getNewStream(Device, int) const override { return Stream(Stream::DEFAULT, DEVICE); }
  Stream exchangeStream(Stream) const noexcept override { return Stream(Stream::DEFAULT, DEVICE); }
  DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard);

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  std::string showConfig() const override { return "a stand-in"; }
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  const at::Generator& getDefaultGenerator(DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
  at::Generator getNewGenerator(DeviceIndex) const override { return at::detail::createCPUGenerator(); }
  Device getDeviceFromPtr(void*) const override { return DEVICE; }
  bool isPinnedPtr(const void* data) const override {
    std::lock_guard<std::mutex> guard(pinned_lock);
    return pinned.count(data) != 0;
  }
  at::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  DeviceIndex current_device() const override { return 0; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  DeviceIndex exchangeDevice(DeviceIndex) const override { return 0; }
  DeviceIndex maybeExchangeDevice(DeviceIndex) const override { return 0; }
  void setCurrentDevice(DeviceIndex) const override {}
  int getNumGPUs() const override { return 1; }
};
using at::CUDAHooksRegistry, at::RegistererCUDAHooksRegistry;
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, Hooks)

// -- tensors -----------------------------------------------------------------------------------------------

Tensor empty(Ints size, std::optional<at::ScalarType> type, std::optional<at::Layout>, std::optional<Device>,
             std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory, c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                   c10::dtype_or_default(type), format);
}

Tensor empty_strided(Ints size, Ints stride, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                     std::optional<Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &memory,
                                           c10::DispatchKeySet(c10::DispatchKey::CUDA), c10::dtype_or_default(type));
}

// The same memory as a tensor of the CPU.
Tensor host(const Tensor& tensor) {
  if (!tensor.defined() || tensor.is_cpu()) return tensor;
  return at::for_blob(tensor.unsafeGetTensorImpl()->mutable_data(), tensor.sizes())
      .strides(tensor.strides())
      .options(at::TensorOptions().dtype(tensor.scalar_type()).device(at::kCPU))
      .make_tensor();
}

Tensor device(const Tensor& tensor) { return tensor.defined() ? tensor.to(DEVICE) : tensor; }

Tensor& copy(Tensor& to, const Tensor& from, bool) {
  host(to).copy_(host(from).expand(to.sizes()));
  return to;
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  host(to).copy_(host(from));
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  if (from.sizes() != to.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar item(const Tensor& tensor) { return host(tensor).item(); }

const Tensor& resize(const Tensor& self, Ints size, std::optional<at::MemoryFormat>) {
  auto* impl = self.unsafeGetTensorImpl();
  const auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  if (self.sizes() == sizes) return self;
  impl->set_sizes_contiguous(sizes);
  auto* storage = self.storage().unsafeGetStorageImpl();
  const size_t bytes = (self.numel() + self.storage_offset()) * self.itemsize();
  if (storage->nbytes() < bytes) {
    auto data = memory.allocate(bytes);
    if (storage->nbytes()) memcpy(data.get(), storage->data(), storage->nbytes());
    storage->set_data_ptr_noswap(std::move(data));
    storage->set_nbytes(bytes);
  }
  return self;
}

Tensor& set(Tensor& self, at::Storage storage, SymInt offset, Ints size, Ints stride) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(storage));
  impl->set_storage_offset(offset.expect_int());
  if (stride.empty()) impl->set_sizes_contiguous(C10_AS_INTARRAYREF_SLOW(size));
  else impl->set_sizes_and_strides(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
  return self;
}

Tensor& set_storage(Tensor& self, at::Storage storage) {
  const SymInt size = storage.nbytes() / self.itemsize();
  return set(self, std::move(storage), 0, {size}, {});
}

Tensor& set_tensor(Tensor& self, const Tensor& source) {
  return set(self, source.storage(), source.storage_offset(), source.sym_sizes(), source.sym_strides());
}

Tensor as_strided(const Tensor& self, Ints size, Ints stride, std::optional<SymInt> offset) {
  return at::native::as_strided_tensorimpl(self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride),
                                           offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt);
}

Tensor view(const Tensor& self, Ints size) { return at::native::view(self, C10_AS_INTARRAYREF_SLOW(size)); }

Tensor reshape_alias(const Tensor& self, Ints size, Ints stride) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
}

// -- operators ---------------------------------------------------------------------------------------------

void refuse(bool on_cpu, const std::string& what) {
  TORCH_CHECK(!on_cpu, what, " lies on the CPU, beside tensors on the GPU");
}

// Numbers reach a GPU from anywhere.
void check(const Tensor& tensor, const std::string& what) {
  refuse(tensor.defined() && tensor.is_cpu() && tensor.dim() > 0, what);
}

void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto name = schema.operator_name().name;
  const auto values = torch::jit::last(stack, schema.arguments().size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto what = name + "'s argument " + schema.arguments()[i].name();
    if (values[i].isTensor()) check(values[i].toTensor(), what);
    else if (values[i].isTensorList())   // lists with gaps are indices, which CUDA takes from the CPU too
      for (const Tensor& tensor : values[i].toTensorList()) check(tensor, what);
  }
  at::native::cpu_fallback(op, stack);
}

// Convolutions choose their kernels by device, and some of CUDA's have no like on the CPU.
Tensor convolution(const Tensor& x, const Tensor& weight, const MaybeTensor& bias, Ints stride, Ints padding, Ints dilation,
                   bool transposed, Ints output_padding, SymInt groups) {
  refuse(x.is_cpu() || weight.is_cpu() || bias && bias->defined() && bias->is_cpu(), "an argument of convolution");
  return device(at::convolution_symint(host(x), host(weight), bias ? MaybeTensor(host(*bias)) : bias, stride, padding, dilation,
                                       transposed, output_padding, groups));
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& grad, const Tensor& x, const Tensor& weight,
                                                        at::OptionalSymIntArrayRef bias, Ints stride, Ints padding,
                                                        Ints dilation, bool transposed, Ints output_padding, SymInt groups,
                                                        std::array<bool, 3> wanted) {
  refuse(grad.is_cpu() || x.is_cpu() || weight.is_cpu(), "an argument of convolution_backward");
  auto [to_x, to_weight, to_bias] = at::convolution_backward_symint(
      host(grad), host(x), host(weight), bias, stride, padding, dilation, transposed, output_padding, groups, wanted);
  return {device(to_x), device(to_weight), device(to_bias)};
}

// Its schema does not say that it writes the running statistics.
std::tuple<Tensor, Tensor, Tensor> batch_norm(const Tensor& x, const MaybeTensor& weight, const MaybeTensor& bias,
                                              const MaybeTensor& mean, const MaybeTensor& var, bool training, double momentum,
                                              double eps) {
  check(x, "the input of native_batch_norm");
  std::vector<MaybeTensor> rest = {weight, bias, mean, var};
  for (auto& tensor : rest)
    if (tensor) {
      check(*tensor, "an argument of native_batch_norm");
      tensor = host(*tensor);
    }
  auto [out, saved_mean, saved_var] =
      at::native_batch_norm(host(x), rest[0], rest[1], rest[2], rest[3], training, momentum, eps);
  return {device(out), device(saved_mean), device(saved_var)};
}

int64_t plain_attention(const Tensor&, const Tensor&, const Tensor&, const MaybeTensor&, double, bool, std::optional<double>,
                        bool) {
  return 0;
}

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("copy_", copy);
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_from_and_resize);
  library.impl("_local_scalar_dense", item);
  library.impl("resize_", resize);
  library.impl("set_.source_Storage_storage_offset", set);
  library.impl("set_.source_Storage", set_storage);
  library.impl("set_.source_Tensor", set_tensor);
  library.impl("as_strided", as_strided);
  library.impl("view", view);
  library.impl("_reshape_alias", reshape_alias);
  library.impl("unfold", at::native::unfold);
  library.impl("convolution", convolution);
  library.impl("convolution_backward", convolution_backward);
  library.impl("native_batch_norm", batch_norm);
  library.impl("_fused_sdp_choice", plain_attention);
}

[[maybe_unused]] const bool ready = (c10::SetAllocator(DeviceType::CUDA, &memory), true);

}  // namespace
