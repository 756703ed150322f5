"""Rollouts in eight poles, several passes over each, the rate annealed in the loop, as in CleanRL's ppo."""

import gymnasium
import numpy as np
import torch
from loop_data import asked_steps
from torch import nn
from torch.distributions import Categorical

from stepsize import RateSearch  # +

ENVS, STEPS, PASSES, MINIBATCHES = 8, 32, 4, 2
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, NORM = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5


def layer_init(layer, std=2**0.5):
    """Orthogonal weights, no bias."""
    nn.init.orthogonal_(layer.weight, std)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """An actor and a critic."""

    def __init__(self):
        super().__init__()

        def network(out, std):
            layers = [layer_init(nn.Linear(4, 64)), nn.Tanh(), layer_init(nn.Linear(64, 64)), nn.Tanh()]
            return nn.Sequential(*layers, layer_init(nn.Linear(64, out), std))

        self.critic, self.actor = network(1, 1.0), network(2, 0.01)

    def get_action_and_value(self, x, action=None):
        """An action, its log-probability, the entropy of all, and what the state is worth."""
        choice = Categorical(logits=self.actor(x))
        action = choice.sample() if action is None else action
        return action, choice.log_prob(action), choice.entropy(), self.critic(x).flatten()


def poles():
    """Eight poles that are balanced side by side."""
    return gymnasium.make_vec("CartPole-v1", num_envs=ENVS, vectorization_mode="vector_entry_point")


def returns_of(rewards, values, dones, next_value, next_done):
    """Generalized advantages, and what values should have been."""
    advantages, last = torch.zeros_like(rewards), 0.0
    for t in reversed(range(STEPS)):
        alive = 1.0 - (next_done if t == STEPS - 1 else dones[t + 1])
        following = next_value if t == STEPS - 1 else values[t + 1]
        delta = rewards[t] + GAMMA * following * alive - values[t]
        advantages[t] = last = delta + GAMMA * LAMBDA * alive * last
    return advantages, advantages + values


def main(num_iterations):
    """Train for so many iterations, each a rollout and its updates."""
    torch.manual_seed(1)
    envs, learning_rate = poles(), 2.5e-4
    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters(), lr=learning_rate, eps=1e-5)

    @torch.no_grad()
    def fallen():
        """The share of 200 steps that the poles, begun anew, do not stand."""
        tested, alive, steps = poles(), np.ones(ENVS, bool), 0
        obs, _ = tested.reset(seed=7)
        for _ in range(200):
            action = agent.get_action_and_value(torch.tensor(obs))[0]
            obs, _, terminated, _, _ = tested.step(action.numpy())
            alive &= ~terminated
            steps += alive.sum()
        return 1 - float(steps) / (200 * ENVS)

    def train(iterations):
        next_obs, next_done = torch.tensor(envs.reset(seed=1)[0]), torch.zeros(ENVS)
        for iteration in iterations:
            optimizer.param_groups[0]["lr"] = (1.0 - (iteration - 1.0) / num_iterations) * learning_rate
            kept = []
            for _ in range(STEPS):
                with torch.no_grad():
                    action, logprob, _, value = agent.get_action_and_value(next_obs)
                obs, reward, terminated, truncated, _ = envs.step(action.numpy())
                kept.append((next_obs, action, logprob, torch.tensor(reward, dtype=torch.float32), next_done, value))
                next_obs, next_done = torch.tensor(obs), torch.tensor(terminated | truncated, dtype=torch.float32)
            obs, actions, logprobs, rewards, dones, values = (torch.stack(each) for each in zip(*kept, strict=True))
            with torch.no_grad():
                next_value = agent.get_action_and_value(next_obs)[3]
            advantages, returns = returns_of(rewards, values, dones, next_value, next_done)
            batch = [each.flatten(0, 1) for each in (obs, actions, logprobs, advantages, returns)]
            for _ in range(PASSES):
                for some in torch.randperm(ENVS * STEPS).chunk(MINIBATCHES):
                    b_obs, b_actions, b_logprobs, b_advantages, b_returns = (each[some] for each in batch)
                    _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs, b_actions)
                    ratio = (newlogprob - b_logprobs).exp()
                    b_advantages = (b_advantages - b_advantages.mean()) / (b_advantages.std() + 1e-8)
                    clipped = torch.clamp(ratio, 1 - CLIP, 1 + CLIP)
                    pg_loss = torch.max(-b_advantages * ratio, -b_advantages * clipped).mean()
                    v_loss = 0.5 * (newvalue - b_returns).square().mean()
                    loss = pg_loss - ENTROPY * entropy.mean() + VALUE * v_loss
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), NORM)
                    optimizer.step()

    before = fallen()
    search = RateSearch(  # +
        optimizer,
        agent,
        lr="linear()",
        total=num_iterations,
        loader=range(1, num_iterations + 1),
        own_steps=True,
        probe=fallen,
    )
    for run in search:  # +
        train(run.batches())  # +
    learning_rate = search.finding.rate  # +
    print(f"learning rate {learning_rate:.3g}")
    train(range(1, num_iterations + 1))
    print(f"fallen {before:.4g}, after training {fallen():.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 80))
