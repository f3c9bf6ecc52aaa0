# Split a hash-locked requirements file: torch and what belongs to CUDA (-v torch=1), or the rest (-v torch=0). An entry
# begins in the first column.
/^[^ ]/ { is_torch = $0 ~ /^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==/ }
is_torch == torch
