import pytest
import torch

pytest.register_assert_rewrite("streams")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests work on tiny images, for which a second thread costs more than it does."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    import streams  # here, since Avalanche takes seconds to import

    return streams.digits()
