"""Recognise the header of a list of codes: `Coupon code` is the name of a column, not a coupon."""

import re
import unicodedata
from typing import Final

_LISTED: Final = """
    code codes coupon coupons couponcode couponcodes voucher vouchers vouchercode vouchercodes promo promos promocode
    promocodes promotion promotions discount discounts discountcode discountcodes gift card giftcard offer offers name
    names number numbers value values amount status type id ids uuid date created expires expiry description title email
    customer campaign percent percentage currency uses limit
    gutschein gutscheine gutscheincode gutscheincodes gutscheinnummer rabatt rabattcode rabattcodes aktionscode nummer
    wert bezeichnung beschreibung betrag
    codigo codigos cupon cupones descuento descuentos numero valor nombre promocion cupom cupons desconto
    bon bons reduction remise rabais nom valeur montant
    codice codici sconto sconti buono buoni valore nome
    kod kody kupon kupony kuponkod rabat kodrabatowy nazwa kortingscode korting rabattkod kode
"""
_WORDS: Final = frozenset(_LISTED.split())
"""Words of headers in several languages, without accents."""

_BETWEEN: Final = "a the of for no nr num de del der die das du des la le el di da en e y und et and i o"
_FILLERS: Final = frozenset(_BETWEEN.split())
_SCRIPTS: Final = (
    "コード",
    "クーポン",
    "代码",
    "代碼",
    "优惠码",
    "優惠碼",
    "쿠폰",
    "코드",
    "код",
    "промокод",
    "купон",
    "κωδικός",
    "קוד",
    "رمز",
    "كود",
)
_TOKEN: Final = re.compile(r"[^\W\d_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def is_header(cell: str) -> bool:
    """Return whether a cell is more likely the name of a column than a code.

    It has no digit, and either known words only, or several words with blanks between them.
    """
    text = cell.strip().strip("\ufeff").strip("\"':#*")
    if not text or any(character.isdigit() for character in text):
        return False
    words = [_plain(word) for word in _TOKEN.findall(_CAMEL.sub(" ", text))]
    if not words:
        return False
    if all(word in _WORDS or word in _FILLERS for word in words) and any(word in _WORDS for word in words):
        return True
    if any(name in text.casefold() for name in _SCRIPTS):
        return True
    return len(text.split()) > 1 and all(character.isalpha() or character in " .'/()_-" for character in text)


def _plain(word: str) -> str:
    """Return a word in lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
