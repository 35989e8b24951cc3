"""Characters that pass for a Latin letter or a sign of a URL, as data.

A choice out of Unicode TR39's confusables: those of living scripts, small capitals, letters with strokes and
hooks. Full width, circled, mathematical and accented forms are not here, NFKD resolves them. Capitals and
small letters count apart: Greek Η looks like h, η like n.
"""

from typing import Final

_LOOKALIKES: Final = {
    "a": "АаΑαɑᴀᎪꓮ",
    "b": "ВвЬьЪъΒβƀɓƁʙᏴꓐ",
    "c": "СсϹϲᴄᏟꓚƈ",
    "d": "ԁԀđĐɖɗᴅᎠꓓ",
    "e": "ЕеЁёΕεɛᴇᎬꓰєЄ",
    "f": "ƒꜰꓝ",
    "g": "ԌɡɠǥցɢᏀꓖ",
    "h": "НнһҺΗհħɦʜᎻꓧ",
    "i": "ІіЇїӀӏΙιıɩɪɨƖǀᎥꓲ",
    "j": "ЈјȷյᴊᎫꓙ",
    "k": "КкΚκƙƘᴋᏦꓗ",
    "l": "łŁɫɭʟᏞꓡլԼ",
    "m": "МмΜɱᴍᎷꓟ",
    "n": "ΝηŋɲŊпɴꓠռ",
    "o": "ОоΟοσøØɵօՕᴏꓳ",
    "p": "РрΡρƥᴘᏢꓑ",
    "q": "ԛԚզ",
    "r": "гГґҐʀɽᎡꓣ",
    "s": "ЅѕʂꜱՏᏚꓢ",
    "t": "ТтΤτŧŦƭᴛᎢꓔ",
    "u": "υʉᴜսՍꓴμ",
    "v": "νʋᴠᏙꓦѵ",
    "w": "ԜԝωᴡᎳꓪ",
    "x": "ХхΧχꓫ",
    "y": "УуүҮΥγʏƴƳᎩꓬ",
    "z": "ΖζƶʐᴢᏃꓜ",
    "-": "‐‒–—−⁃",
    "'": "‘’‚‛`ʼ",
    ".": "。·",
    "/": "⁄∕",
    ":": "∶",
}

CONFUSABLES: Final = {
    **{lookalike: letter for letter, lookalikes in _LOOKALIKES.items() for lookalike in lookalikes},
    # Negative circled, negative squared and regional-indicator letters stand in alphabetical order.
    **{chr(first + i): chr(ord("a") + i) for first in (0x1F150, 0x1F170, 0x1F1E6) for i in range(26)},
}
