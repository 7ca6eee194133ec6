import torch
from tests.training.toy import ToyModel

from trilingua.training.averaging import WeightAverage


def test_the_average_follows_its_formula_and_lends_itself() -> None:
    torch.manual_seed(0)
    model = ToyModel(0.0)
    model.head.weight.requires_grad_(False)
    average = WeightAverage(model, 0.3)
    assert "head.weight" not in average.tensors
    expected = model.hidden.weight.detach().clone()
    for step in range(6):
        with torch.no_grad():
            model.hidden.weight.add_(torch.randn_like(model.hidden.weight))
        average.update(step)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.hidden.weight.detach()
        torch.testing.assert_close(average.tensors["hidden.weight"], expected)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with average.applied():
        assert torch.equal(model.hidden.weight, average.tensors["hidden.weight"])
        assert not torch.equal(model.hidden.weight, before["hidden.weight"])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
