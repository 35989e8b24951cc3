"""What phishing and advance-fee texts have in common, weighed.

One sign proves nothing: a bank does ask to confirm a payment, a shop does say "act now". From SPAM_SCORE on,
the signs together do, and the reason names each.
"""

from dataclasses import dataclass
from itertools import product
from typing import Final

SPAM_SCORE: Final = 5


@dataclass(frozen=True, slots=True)
class Signal:
    """A sign, what it weighs, and the phrases that show it (whole words, folded before they are looked for).

    `deniable`: a denial before the phrase, such as "never share your PIN", turns it round.
    """

    name: str
    weight: int
    phrases: tuple[str, ...]
    deniable: bool = False


def _each(*parts: str) -> list[str]:
    """Every combination of one choice (separated by |) from each part."""
    return [" ".join(words) for words in product(*(part.split("|") for part in parts))]


SIGNALS: Final = (
    Signal(
        "asks for a secret",
        4,
        (
            *_each(
                "send|share|enter|confirm|verify|provide|reply with|submit|update",
                "your|us your|me your",
                "pin|password|otp|cvv|secret code|card number|mpesa pin|m-pesa pin",
            ),
            *_each("tuma|tupatie|weka", "pin|pin yako|namba ya siri|neno la siri"),
            *_each("envoyez|communiquez|confirmez|entrez", "votre", "code|code secret|mot de passe|code pin"),
            *_each("envie|partilhe|confirme|introduza", "o seu|a sua", "pin|codigo|senha|palavra-passe"),
        ),
        deniable=True,
    ),
    Signal(
        "asks to verify an account",
        2,
        (
            *_each(
                "verify|confirm|update|validate|unlock|reactivate",
                "your",
                "account|identity|wallet|details|information|bank|sim",
            ),
            *_each("thibitisha|sasisha", "akaunti|akaunti yako"),
            *_each("verifiez|confirmez|mettez a jour", "votre", "compte|identite"),
            *_each("verifique|confirme|actualize", "a sua", "conta|identidade"),
        ),
        deniable=True,
    ),
    Signal(
        "says that an account is blocked",
        2,
        (
            *_each(
                "account|wallet|line|sim|card",
                "is|has been|will be|was",
                "suspended|blocked|locked|limited|deactivated|closed|restricted",
            ),
            *_each("akaunti yako|laini yako", "imefungwa|itafungwa"),
            *_each("votre compte", "est bloque|a ete bloque|a ete suspendu|sera suspendu"),
            *_each("a sua conta", "foi bloqueada|foi suspensa|sera bloqueada|sera suspensa"),
        ),
    ),
    Signal(
        "promises a prize",
        2,
        (
            *_each("you have|you've|you", "won"),
            *_each("claim your", "prize|reward|cash|winnings"),
            *("lucky winner", "you are a winner", "lottery winner", "inheritance fund", "unclaimed funds"),
            *("umeshinda", "vous avez gagne", "heureux gagnant", "voce ganhou", "parabens ganhou"),
        ),
    ),
    Signal(
        "wants money in advance",
        3,
        (
            *_each("processing|activation|release|clearance", "fee"),
            *(
                "send money to",
                "pay to claim",
                "double your money",
                "guaranteed profit",
                "guaranteed returns",
            ),
            *("tuma pesa kwa", "ada ya usindikaji", "frais de dossier", "doublez votre argent"),
            *("taxa de processamento", "duplique o seu dinheiro"),
        ),
        deniable=True,
    ),
    Signal(
        "presses for haste",
        1,
        (
            *("act now", "urgent", "immediately", "within 24 hours", "within 24hrs", "final notice"),
            *("haraka", "mara moja", "immediatement", "dernier avis", "imediatamente", "ultimo aviso"),
        ),
    ),
    Signal(
        "asks to follow a link",
        1,
        (
            "click here",
            "click the link",
            "click on the link",
            "bonyeza hapa",
            "cliquez ici",
            "cliquez sur le lien",
            "clique aqui",
        ),
    ),
)

# Signs that links show (see `links`).
LINK: Final = Signal("has a link", 1, ())
DISGUISED_LINK: Final = Signal("hides where its link leads", 3, ())

# Words before a phrase that turn it round, folded.
DENIALS: Final = (
    "not ",
    "never ",
    "don't ",
    "dont ",
    "won't ",
    "usi",
    "ne jamais ",
    "jamais ",
    "n'",
    "nao ",
    "nunca ",
)
