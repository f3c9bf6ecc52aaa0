"""Write the golden files of this folder from HQ-SAM's own code; run by hand, see README.md."""

import json
from pathlib import Path

import torch
from segment_anything.modeling import MaskDecoder
from segment_anything_hq import sam_model_registry
from segment_anything_hq.modeling import MaskDecoderHQ

from tests.mammo.segmenter.networks import drawn, filled, sampled

HERE = Path(__file__).parent
HQ = {
    "hq_sam_vit_b": "vit_b",
    "hq_sam_vit_l": "vit_l",
    "hq_sam_vit_h": "vit_h",
    "hq_sam_vit_tiny": "vit_tiny",
}


def main() -> None:
    for name, theirs in HQ.items():
        network = sam_model_registry[theirs]()
        write(name, network.state_dict())
        if theirs == "vit_b":
            outputs = {"hq_decoder": decoder_outputs(network)}
        if theirs == "vit_tiny":
            outputs["tiny_vit"] = encoder_outputs(network)
            mobile = {k: v for k, v in network.state_dict().items() if not k.startswith("mask_decoder.")}
            old = network.mask_decoder
            new = MaskDecoder(transformer_dim=256, transformer=old.transformer)
            write("mobile_sam", mobile | {f"mask_decoder.{k}": v for k, v in new.state_dict().items()})
    (HERE / "outputs.json").write_text(json.dumps(outputs, indent=1) + "\n")


def write(name: str, tensors: dict[str, torch.Tensor]) -> None:
    lines = [f"{key} {'x'.join(map(str, tensor.shape)) or '-'}\n" for key, tensor in sorted(tensors.items())]
    (HERE / f"{name}.txt").write_text("".join(lines))


def decoder_outputs(network: torch.nn.Module) -> dict[str, list[float]]:
    """Two prompts on a 16 x 16 grid; the weights are a function of the full names, prefix included."""
    decoder: MaskDecoderHQ = filled(network).mask_decoder
    out = {}
    for only, name in ((False, "sum"), (True, "hq")):
        logits, iou = decoder(
            drawn(1, 256, 16, 16, seed=1),
            drawn(1, 256, 16, 16, seed=2),
            drawn(2, 3, 256, seed=3),
            drawn(2, 256, 16, 16, seed=4),
            multimask_output=False,
            hq_token_only=only,
            interm_embeddings=[drawn(1, 16, 16, 768, seed=5)],
        )
        out |= {name: sampled(logits), "iou": sampled(iou)}
    return out


@torch.no_grad()
def encoder_outputs(network: torch.nn.Module) -> dict[str, list[float]]:
    neck, (early,) = filled(network).image_encoder(drawn(1, 3, 1024, 1024, seed=6))
    return {"neck": sampled(neck), "early": sampled(early.permute(0, 3, 1, 2))}


if __name__ == "__main__":
    main()
