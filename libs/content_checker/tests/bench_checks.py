"""How many texts a second one core checks: `python libs/content_checker/tests/bench_checks.py`."""

import time
from collections.abc import Callable

from sema_content_checker import Rule, RuleSet, check

TEXTS = {
    "short, GSM-7 (54 characters)": "Habari! Malipo yako ya KES 1,500 yamepokelewa. Asante.",
    "one segment, with a link": "Dear Wanjiku, your order 48213 is ready at the Westlands shop, open 8.00 to 17.30. "
    "Track it: https://shop.example/t/48213. Thank you!",
    "French, accents": "Cher client, votre facture de février est payée. Merci à vous et à bientôt chez nous.",
    "Arabic": "عزيزي العميل، تم استلام دفعتك بنجاح. شكرا لك.",
    "refused": "You have w0n! Pay the processing fee, click bit.ly/x",
}


def _rules(words: int) -> RuleSet:
    return RuleSet(
        "bench",
        [
            *(Rule("word", f"blocked{number}word", whole_word=number % 2 == 0) for number in range(words)),
            *(Rule("shortener", f"short{number}.ly") for number in range(50)),
            *(Rule("pattern", rf"phrase{number} [0-9]+ of {number}") for number in range(20)),
            Rule("shortener", "bit.ly"),
        ],
    )


def _rate(call: Callable[[], object], rounds: int = 20_000) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(rounds // 3):
            call()
        best = min(best, time.perf_counter() - started)
    return (rounds // 3) / best


def main() -> None:
    rules = _rules(2_000)
    for name, text in TEXTS.items():
        rate = _rate(lambda text=text: check(text, rules))  # type: ignore[misc]
        print(f"{name:32} {rate:9,.0f}/s  {1e6 / rate:6.1f} µs")


if __name__ == "__main__":
    main()
