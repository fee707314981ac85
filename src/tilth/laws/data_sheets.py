"""What devices can do at most, by their makers' data sheets. No torch."""

from __future__ import annotations

HALF_PRECISION = {
    "V100": 125e12,
    "A10G": 70e12,
    "A10": 125e12,
    "A30": 165e12,
    "A40": 150e12,
    "A800": 312e12,
    "A100": 312e12,
    "L4": 121e12,
    "L40S": 362e12,
    "L40": 181e12,
    "H20": 148e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800 PCIe": 756e12,
    "H800": 989e12,
    "GH200": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
    "RTX 3090": 71e12,
    "RTX 4090": 165e12,
    "RTX 5090": 209e12,
    "RTX 6000 Ada": 364e12,
}
"""Dense bf16 (V100: fp16) products with sums in fp32, FLOP/s, by a part of the name that the driver gives."""


def half_precision_peak(device_name: str) -> float | None:
    """Dense half-precision FLOP/s of the device that is called so; None if it stands in no table here."""
    words = f" {device_name.replace('-', ' ')} "
    if " Laptop " in words or " D " in words:  # slower than the card of the same number
        return None
    found = [name for name in HALF_PRECISION if f" {name} " in words]
    return HALF_PRECISION[max(found, key=len)] if found else None
