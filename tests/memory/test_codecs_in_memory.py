"""How a memory stores images, and a budget in bytes."""

import pytest
from memories import METHODS, class_memory, counts, noise


@pytest.mark.parametrize("codec", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_a_memory_stores_images_by_its_codec(tmp_path, method, codec):
    memory = class_memory(per_class=3, method=method, codec=codec)
    memory.update(noise(0, 1))
    assert memory.condensed.codec == codec
    assert memory.condensed.nbytes == 6 * {"uint8": 68, "float16": 128, "float32": 256}[codec] + 2 * 16
    memory.save(tmp_path / "memory.safetensors")
    other = class_memory(per_class=3, method=method, codec="float16" if codec == "uint8" else "uint8")
    with pytest.raises(ValueError, match=f"codec='{codec}'"):
        other.load(tmp_path / "memory.safetensors")
    assert other.condensed is None


@pytest.mark.parametrize("codec", ["uint8", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_a_budget_in_bytes_is_never_exceeded(method, codec):
    memory = class_memory(max_bytes=3000, method=method, codec=codec)
    each = {"uint8": 68, "float32": 256}[codec]
    for t in range(4):
        memory.update(noise(2 * t, 2 * t + 1, n=60, seed=t))
        assert 3000 - each < memory.condensed.nbytes <= 3000
        assert max(counts(memory.condensed).values()) - min(counts(memory.condensed).values()) <= 1
    assert (memory.max_size, memory.max_bytes, memory.per_class) == (None, 3000, None)
    with pytest.raises(ValueError, match="3000 bytes"):
        memory.resize(5)


def test_too_few_bytes_are_an_error_that_says_how_many_images_they_hold():
    memory = class_memory(max_bytes=200)
    memory.update(noise(0))
    with pytest.raises(ValueError, match=r"200 bytes \(2 images\) cannot hold 3 classes: raise max_bytes"):
        memory.update(noise(1, 2))
