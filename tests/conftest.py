import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests work on tiny images, for which a second thread costs more than it does."""
    torch.set_num_threads(1)
