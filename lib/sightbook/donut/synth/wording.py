"""Words that stand on the drawn documents: labels in several languages, invented states, prose.

No real state's wording is imitated: the labels are the everyday terms that travel documents of
all states share, and the states and authorities are made of syllables.
"""

import numpy as np

LANGUAGES = ("en", "fr", "de", "es", "it", "pl", "pt", "sv", "tr", "ru", "el")

LABELS: dict[str, tuple[str, ...]] = {
    "type": ("Type", "Type", "Typ", "Tipo", "Tipo", "Typ", "Tipo", "Typ", "Tür", "Тип", "Τύπος"),
    "state": (
        "Country code", "Code du pays", "Kode", "Código", "Codice", "Kod", "Código", "Kod",
        "Ülke kodu", "Код", "Κωδικός",
    ),
    "document_number": (
        "Document No.", "N° du document", "Nummer", "Número", "Numero", "Numer", "Número",
        "Nummer", "Belge no", "Номер", "Αριθμός",
    ),
    "surname": (
        "Surname", "Nom", "Name", "Apellidos", "Cognome", "Nazwisko", "Apelido", "Efternamn",
        "Soyadı", "Фамилия", "Επώνυμο",
    ),
    "given_names": (
        "Given names", "Prénoms", "Vornamen", "Nombre", "Nome", "Imiona", "Nomes", "Förnamn",
        "Adı", "Имя", "Όνομα",
    ),
    "nationality": (
        "Nationality", "Nationalité", "Staatsangehörigkeit", "Nacionalidad", "Cittadinanza",
        "Obywatelstwo", "Nacionalidade", "Nationalitet", "Uyruğu", "Гражданство", "Ιθαγένεια",
    ),
    "birth_date": (
        "Date of birth", "Date de naissance", "Geburtsdatum", "Fecha de nacimiento",
        "Data di nascita", "Data urodzenia", "Data de nascimento", "Födelsedatum",
        "Doğum tarihi", "Дата рождения", "Ημ. γέννησης",
    ),
    "sex": ("Sex", "Sexe", "Geschl.", "Sexo", "Sesso", "Płeć", "Sexo", "Kön", "Cins.", "Пол",
            "Φύλο"),
    "birth_place": (
        "Place of birth", "Lieu de naissance", "Geburtsort", "Lugar de nacimiento",
        "Luogo di nascita", "Miejsce urodzenia", "Local de nascimento", "Födelseort",
        "Doğum yeri", "Место рождения", "Τόπος γέννησης",
    ),
    "issue_date": (
        "Date of issue", "Date de délivrance", "Ausstellungsdatum", "Fecha de expedición",
        "Data di rilascio", "Data wydania", "Data de emissão", "Utfärdat", "Veriliş",
        "Дата выдачи", "Ημ. έκδοσης",
    ),
    "expiry_date": (
        "Date of expiry", "Date d'expiration", "Gültig bis", "Fecha de caducidad",
        "Data di scadenza", "Data ważności", "Válido até", "Giltigt till", "Geçerlilik",
        "Срок действия", "Ημ. λήξης",
    ),
    "authority": (
        "Authority", "Autorité", "Behörde", "Autoridad", "Autorità", "Organ wydający",
        "Autoridade", "Myndighet", "Makam", "Орган", "Αρχή",
    ),
    "personal_number": (
        "Personal No.", "N° personnel", "Personalnr.", "N° personal", "Cod. fiscale", "PESEL",
        "N° pessoal", "Personnr.", "Kimlik no", "Личный код", "Αρ. ταυτ.",
    ),
    "signature": (
        "Signature of bearer", "Signature du titulaire", "Unterschrift", "Firma", "Firma",
        "Podpis", "Assinatura", "Namnteckning", "İmza", "Подпись", "Υπογραφή",
    ),
    "height": ("Height", "Taille", "Größe", "Estatura", "Statura", "Wzrost", "Altura", "Längd",
               "Boy", "Рост", "Ύψος"),
    "eyes": ("Eyes", "Yeux", "Augenfarbe", "Ojos", "Occhi", "Oczy", "Olhos", "Ögon", "Göz",
             "Глаза", "Μάτια"),
    "address": ("Address", "Adresse", "Anschrift", "Domicilio", "Residenza", "Adres", "Morada",
                "Adress", "Adres", "Адрес", "Διεύθυνση"),
    "valid_from": ("From", "Du", "Vom", "Desde", "Dal", "Od", "De", "Från", "Başl.", "С", "Από"),
    "entries": (
        "Number of entries", "Nombre d'entrées", "Anzahl der Einreisen", "Entradas", "Ingressi",
        "Liczba wjazdów", "Entradas", "Antal inresor", "Giriş", "Въезды", "Είσοδοι",
    ),
    "stay": ("Duration of stay", "Durée du séjour", "Dauer", "Duración", "Durata", "Pobyt",
             "Duração", "Vistelse", "Süre", "Дней", "Διάρκεια"),
    "remarks": ("Remarks", "Remarques", "Bemerkungen", "Observaciones", "Annotazioni", "Uwagi",
                "Observações", "Anmärkningar", "Notlar", "Примечания", "Σχόλια"),
}  # fmt: skip

TITLES: dict[str, tuple[str, ...]] = {
    "passport": ("PASSPORT", "PASSEPORT", "REISEPASS", "PASAPORTE", "PASSAPORTO", "PASZPORT",
                 "PASSAPORTE", "PASS", "PASAPORT", "ПАСПОРТ", "ΔΙΑΒΑΤΗΡΙΟ"),
    "card": ("IDENTITY CARD", "CARTE D'IDENTITÉ", "AUSWEIS", "CARNET DE IDENTIDAD",
             "CARTA D'IDENTITÀ", "DOWÓD OSOBISTY", "CARTÃO DE IDENTIDADE", "IDENTITETSKORT",
             "KİMLİK KARTI", "УДОСТОВЕРЕНИЕ", "ΤΑΥΤΟΤΗΤΑ"),
    "permit": ("RESIDENCE PERMIT", "TITRE DE SÉJOUR", "AUFENTHALTSTITEL", "PERMISO", "PERMESSO",
               "KARTA POBYTU", "AUTORIZAÇÃO", "UPPEHÅLLSTILLSTÅND", "İKAMET İZNİ",
               "ВИД НА ЖИТЕЛЬСТВО", "ΑΔΕΙΑ ΔΙΑΜΟΝΗΣ"),
    "visa": ("VISA", "VISA", "VISUM", "VISADO", "VISTO", "WIZA", "VISTO", "VISUM", "VİZE",
             "ВИЗА", "ΘΕΩΡΗΣΗ"),
}  # fmt: skip

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS_FR = ("JAN", "FÉV", "MARS", "AVR", "MAI", "JUIN", "JUIL", "AOÛT", "SEPT", "OCT", "NOV",
              "DÉC")  # fmt: skip

_HEADS = ("Zar", "Mel", "Or", "Vel", "Tan", "Bra", "Lum", "Kes", "Dor", "Ili", "Nor", "Sav",
          "Quel", "Ost", "Far", "Mir", "Gal", "Ther", "Ul", "Pel")  # fmt: skip
_MIDDLES = ("a", "o", "en", "i", "and", "ar", "ov", "el", "ur", "is")
_TAILS = ("via", "dor", "stan", "land", "mark", "nia", "burg", "ria", "lia", "mont", "vik", "ona")

_WORDS = (
    "the", "of", "and", "to", "in", "for", "with", "that", "this", "from", "are", "please",
    "your", "we", "have", "not", "letter", "account", "invoice", "number", "payment", "service",
    "period", "contract", "amount", "office", "customer", "date", "within", "days", "agreement",
    "following", "information", "address", "order", "delivery", "request", "regards", "enclosed",
    "department", "reference", "month", "balance", "total", "according", "section", "terms",
)  # fmt: skip

_GOODS = ("MILK 1L", "BREAD", "APPLES", "COFFEE 500G", "BATTERIES AA", "CHEESE", "TEA", "PASTA",
          "SOAP", "NOTEBOOK A5", "USB CABLE", "TOMATOES", "RICE", "OLIVE OIL", "EGGS")  # fmt: skip


def place_name(rng: np.random.Generator) -> str:
    """An invented place or state, such as "Velarnia"."""
    parts = (
        _HEADS[rng.integers(len(_HEADS))],
        _MIDDLES[rng.integers(len(_MIDDLES))] if rng.random() < 0.6 else "",
        _TAILS[rng.integers(len(_TAILS))],
    )
    return "".join(parts)


def state_title(rng: np.random.Generator) -> str:
    """The name of an invented state as it heads a document."""
    forms = ("REPUBLIC OF {}", "KINGDOM OF {}", "{}", "FEDERATION OF {}", "STATE OF {}",
             "REPUBLIK {}", "RÉPUBLIQUE DE {}", "UNION OF {}")  # fmt: skip
    return forms[rng.integers(len(forms))].format(place_name(rng).upper())


def prose(rng: np.random.Generator, words: int) -> str:
    """A run of everyday office words without meaning."""
    return " ".join(_WORDS[i] for i in rng.integers(0, len(_WORDS), words))


def goods(rng: np.random.Generator) -> str:
    """An article as a till prints it."""
    return _GOODS[rng.integers(len(_GOODS))]


def digits(rng: np.random.Generator, count: int) -> str:
    """``count`` random decimal digits."""
    return "".join(map(str, rng.integers(0, 10, count)))


def written_date(year: int, month: int, day: int, style: int) -> str:
    """A date in one of seven common printed forms (``style`` 0..6)."""
    name = MONTHS[month - 1]
    return (
        f"{day:02d} {name} {year}",
        f"{day:02d}.{month:02d}.{year}",
        f"{day:02d}/{month:02d}/{year}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day:02d} {name}/{_MONTHS_FR[month - 1]} {year % 100:02d}",
        f"{day:02d} {month:02d} {year}",
        f"{day} {name.title()} {year}",
    )[style]
