"""A tiny GPT-2 trained by Hugging Face's Trainer, as in its language modeling example."""

import tempfile

import torch
from loop_data import asked_steps, characters
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from stepsize.integrations import find_in_trainer  # +


def blocks(numbers, size=32):
    """The text in blocks, as a data set."""
    rows = numbers[: len(numbers) // size * size].view(-1, size)
    return [{"input_ids": row, "labels": row} for row in rows]


def main(steps):
    """Train for so many steps."""
    torch.manual_seed(0)
    train, validation, tokens = characters()
    config = GPT2Config(
        vocab_size=tokens, n_positions=32, n_embd=48, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            warmup_steps=steps // 20,
            lr_scheduler_type="cosine",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_steps=steps,
            use_cpu=True,
        )
        trainer = Trainer(
            GPT2LMHeadModel(config), settings, train_dataset=blocks(train), eval_dataset=blocks(validation[:1600])
        )
        before = trainer.evaluate()["eval_loss"]
        find_in_trainer(trainer)  # +
        print(f"learning rate {trainer.args.learning_rate:.3g}")
        trainer.train()
        print(f"loss {before:.4g}, after training {trainer.evaluate()['eval_loss']:.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 150))
