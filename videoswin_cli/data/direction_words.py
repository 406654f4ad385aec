"""Words of class names that tell a direction which a mirror reverses: plain data, in pairs.

They are compared without case and accents. What a language writes in more than one way (endings,
glued words) is listed as far as it is usual; a direction that is not found here is not seen.
"""

Pairs = tuple[tuple[str, str], ...]

# Anywhere in a word: TURNRIGHT, righttoleft, leftwards, lefthand, linksherum, 左手.
PARTS: Pairs = (
    ("left", "right"),
    ("counterclockwise", "clockwise"),
    ("links", "rechts"),  # German, Dutch
    ("gegenuhrzeigersinn", "uhrzeigersinn"),
    ("gauche", "droite"),  # French
    ("izquierd", "derech"),  # Spanish, with any ending
    ("esquerd", "direit"),  # Portuguese
    ("vänster", "höger"),  # Swedish
    ("venstre", "højre"),  # Danish, Norwegian
    ("左", "右"),  # Chinese, Japanese
    ("逆时针", "顺时针"),
    ("逆時針", "順時針"),
    ("反時計回り", "時計回り"),
    ("ひだり", "みぎ"),
    ("왼쪽", "오른쪽"),  # Korean
    ("왼손", "오른손"),
    ("왼발", "오른발"),
    ("좌회전", "우회전"),
    ("좌측", "우측"),
    ("반시계방향", "시계방향"),
    ("ซ้าย", "ขวา"),  # Thai
    ("يسار", "يمين"),  # Arabic
    ("שמאלה", "ימינה"),  # Hebrew
    ("שמאל", "ימין"),
)

# Whole words only.
WORDS: Pairs = (
    ("ccw", "cw"),
    ("ltr", "rtl"),
    ("lhs", "rhs"),
    ("linke", "rechte"),  # German
    ("linken", "rechten"),
    ("linker", "rechter"),  # and Dutch
    ("linkerhand", "rechterhand"),
    ("sinistra", "destra"),  # Italian
    ("sinistro", "destro"),
    ("antiorario", "orario"),
    ("antihorario", "horario"),  # Spanish, Portuguese
    ("antihoraire", "horaire"),  # French
    ("esquerra", "dreta"),  # Catalan
    ("stânga", "dreapta"),  # Romanian
    ("lewo", "prawo"),  # Polish
    ("lewa", "prawa"),
    ("lewy", "prawy"),
    ("lewej", "prawej"),
    ("vlevo", "vpravo"),  # Czech, Slovak
    ("doleva", "doprava"),
    ("levý", "pravý"),
    ("levá", "pravá"),
    ("zleva", "zprava"),
    ("lijevo", "desno"),  # Croatian, Serbian, Slovenian
    ("влево", "вправо"),  # Russian
    ("налево", "направо"),
    ("слева", "справа"),
    ("лево", "право"),
    ("левый", "правый"),
    ("левая", "правая"),
    ("левое", "правое"),
    ("левой", "правой"),
    ("левую", "правую"),
    ("ліворуч", "праворуч"),  # Ukrainian
    ("vasen", "oikea"),  # Finnish
    ("vasemmalle", "oikealle"),
    ("vasemmalta", "oikealta"),
    ("balra", "jobbra"),  # Hungarian
    ("soldan", "sağdan"),  # Turkish
    ("αριστερά", "δεξιά"),  # Greek
    ("αριστερό", "δεξί"),
    ("hidari", "migi"),  # Japanese
    ("kiri", "kanan"),  # Indonesian, Malay
    ("बाएं", "दाएं"),  # Hindi
    ("बायें", "दायें"),
    ("چپ", "راست"),  # Persian
)

# Directions that are turned round by other words than their own: they have no mirror image here.
UNPAIRED = ("часовой", "aiguilles", "zegara")

# Words that mean a direction only where the other name is a class too; even then not surely so.
DOUBTFUL: Pairs = (
    ("l", "r"),
    ("lh", "rh"),
    ("sx", "dx"),
    ("lt", "rt"),
    ("lr", "rl"),
    ("west", "east"),
    ("westward", "eastward"),
    ("westwards", "eastwards"),
    ("westbound", "eastbound"),
    ("northwest", "northeast"),
    ("southwest", "southeast"),
    ("nw", "ne"),
    ("sw", "se"),
    ("port", "starboard"),
    ("sol", "sağ"),  # Turkish; sun in Spanish
    ("sola", "sağa"),
    ("bal", "jobb"),  # Hungarian
    ("trái", "phải"),  # Vietnamese; also fruit, and must
    ("좌", "우"),
)
DOUBTFUL_ENDS: Pairs = (("ccw", "cw"), ("l", "r"))  # of the whole name: rotatecw, turnl
DOUBTFUL_STARTS: Pairs = (("l", "r"),)  # of the whole name: LHand
SYMBOLS: Pairs = (
    *(("←", "→"), ("⇐", "⇒"), ("⬅", "➡"), ("↖", "↗"), ("↙", "↘"), ("👈", "👉")),
    *(("↺", "↻"), ("↶", "↷"), ("↰", "↱")),
)

# Spellings of one word.
SAME = {
    "anticlockwise": "counterclockwise",
    "acw": "ccw",
    "droit": "droite",
    "høyre": "højre",
    "levo": "lijevo",
}

# Innocent words, which hold one of the above: whole, in a word, and two that follow each other.
WHOLE_INNOCENT = (
    *("upright", "outright", "downright", "forthright", "copyright", "copyrights", "birthright"),
    *("alright", "aright", "righteous", "rightful", "cleft", "clefts", "leftover", "leftovers"),
    *("uprights", "uprightly", "uprightness"),
)
INNOCENT = (
    *("bright", "fright", "wright", "adroite"),
    *("blinks", "clinks", "plinks", "slinks", "hyperlinks", "cufflinks"),
)
INNOCENT_PHRASES = (("right", "out"), ("right", "away"), ("right", "now"), ("all", "right"))
