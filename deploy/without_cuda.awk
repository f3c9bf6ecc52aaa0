# Keep the entries of a hash-locked requirements file that are not torch or part of CUDA. An entry begins in the first column.
/^[^ ]/ { keep = $0 !~ /^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==/ }
keep
