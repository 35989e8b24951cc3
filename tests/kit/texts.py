"""Ordinary texts of the markets: one-time codes, bank alerts, reminders, offers. None of them may be refused.

And the rules that a new installation refuses by, without a database.
"""

import csv
import re
from pathlib import Path
from typing import Final

from sema_content_checker import Kind, Rule

_SEED: Final = Path(__file__).parents[2] / "deploy/migrations/sql/0003_core_content_blocklist.sql"
_ROW: Final = re.compile(r"^    \(('.*), (true|false)\)[,;]$", re.MULTILINE)
_KINDS: Final[dict[str, Kind]] = {"word": "word", "pattern": "pattern", "shortener": "shortener"}


def seed_rules() -> list[Rule]:
    """The rules of a new installation, as its migration has them."""
    rules = []
    for line, whole in _ROW.findall(_SEED.read_text("utf-8")):
        [[kind, value, language]] = csv.reader([line], quotechar="'", skipinitialspace=True)
        rules.append(Rule(_KINDS[kind], value, language, whole == "true"))
    return rules


ENGLISH: Final = (
    "Your verification code is 482913. It expires in 5 minutes. Never share it with anyone.",
    "482913 is your OTP for login. Do not share your OTP or PIN with anyone, not even our staff.",
    "G-482913 is your Google verification code.",
    "Use 0419 to verify your account at Duka Online. Valid for 10 minutes.",
    "QK12AB34CD Confirmed. Ksh1,500.00 sent to JOHN KAMAU 0712345678 on 21/11/26. New balance is Ksh4,120.55.",
    "Confirmed. You have received Ksh500.00 from MARY WANJIKU 254722000001. Transaction cost Ksh0.00.",
    "Your A/C 0110****234 has been debited with KES 45,500.00 at ATM WESTLANDS. Avail bal KES 3,455.00.",
    "Dear Wanjiku, your loan of KES 12,000 is due on 30 Nov. Pay via Paybill 400200 A/C 55512. Ignore if paid.",
    "Your loan application has been approved. Visit the nearest branch with your ID to sign the forms.",
    "Your account has been credited with TZS 250,000. Thank you for banking with us. Helpline 0800 110 045.",
    "Your account is locked after 3 wrong attempts. Call 0711 000 000 or visit a branch to unlock it.",
    "Reminder: your appointment with Dr. Hitchcock is on Mon 23 Nov at 8.30am. Reply C to cancel.",
    "Reminder: Class 4 parents' meeting on Friday. Please assess your child's passbook and bring it along.",
    "Your parcel 7XK-455 is out for delivery. Track it: https://shop.example/t/48213. Thank you!",
    "FLASH SALE! 50% off all cocktail dresses till Sunday. Shop at https://dress.example/sale. STOP to 22455.",
    "Act now: 20% off cement & steel until stocks last. Visit us in Industrial Area. T&Cs apply.",
    "Win a trip to Mombasa! Buy any two packs of Ariel and keep the receipt. T&C: ariel.example",
    "Scunthorpe United beat Arsenal 2-1. Essex, Sussex and Penistone results at 5.",
    "Hassan, the Massai mass passion play has passed the class assessment. Assume nothing. Cockpit analysis follows.",
    "Dickson, Peacock, Hancock & Titus Ltd: your invoice 419 of KES 88,455 is attached to your account.",
    "Shitake mushrooms, cumin, basement parking, grape juice, therapist, document: all are listed.",
    "Bus KCB 455S leaves Nairobi 6.15 a.m. Seat 1A. Be at the stage by 5.45. Safe journey!",
    "The U.S. hit a record. Meet at Mama's. ID required. Wait a bit. Ly will come at 7.",
    "Push it to 5pm? I can't. Is it ok at 6? Let me know, or call. Co-operative bank closes at 4.",
    "School fees for term 1: KES 45,000. Pay 500 sh it will be receipted at once. Thanks.",
    "Power interruption: Ngong Rd area, Thu 9am-5pm for maintenance. We regret the inconvenience.",
    "Happy birthday Aisha! Wishing you a great year. From all of us at Acme.",
    "Your policy ABC/123 renews on 01/12. Premium KES 8,455. Confirm your details at any branch.",
    "Tab\there\r\nand a new line; prices {net} [gross] ~ 100% ^ _ \\ | euro € ok",
    "A B C D E: choose one. Reply 1 for yes, 2 for no.",
    "AIG insurance: your claim 4-1-9 was paid. Email info@insure.example or call +254 20 455 455.",
    "Your mail at the mall: collect from box 555. Fall sale on till the 5th.",
)

SWAHILI: Final = (
    "Habari! Malipo yako ya KES 1,500 yamepokelewa. Asante.",
    "Namba yako ya uthibitisho ni 482913. Usimpe mtu yeyote namba hii.",
    "Usimpe mtu PIN yako. Safaricom haitakuomba PIN yako kamwe.",
    "Mpendwa mteja, salio lako ni Tsh 45,000. Piga *150*00# kwa huduma zaidi.",
    "Kikao cha wazazi kitafanyika Ijumaa saa nne asubuhi. Tafadhali fika kwa wakati.",
    "Umeme utakatika Alhamisi saa tatu hadi saa kumi na moja. Samahani kwa usumbufu.",
    "Karibu dukani! Punguzo la asilimia 20 kwa unga na sukari hadi Jumapili.",
    "Kumbuka kulipa ada ya shule kabla ya tarehe 5. Asante kwa ushirikiano.",
    "Malipo ya maji ya mwezi Novemba ni Ksh 845. Lipa kwa Paybill 888880.",
    "Leo ni siku ya chanjo. Mlete mtoto kliniki mapema. Namba ya foleni: 17.",
    "Shule itafungwa Ijumaa. Magari yatatoka saa mbili kamili asubuhi.",
)

FRENCH: Final = (
    "Votre code de vérification est 482913. Ne le communiquez à personne.",
    "Ne communiquez jamais votre code secret, même à un agent.",
    "Cher client, votre facture de 12.500 F est payée. Merci à vous et à bientôt chez nous.",
    "Vous avez reçu 25 000 FCFA de KOUASSI Aya. Nouveau solde : 48 750 FCFA. ID : CI2411.455",
    "Rappel : rendez-vous le 23/11 à 8 h 30 avec le Dr Assouline. Répondez OUI pour confirmer.",
    "Promo du week-end : -30 % sur les pâtes, l'huile et le concentré. Magasin de Cocody.",
    "L'école sera fermée vendredi. Les parents sont conviés à l'assemblée générale à 15 h.",
    "Le concours aura lieu à Constantine ; le conseil confirme la conférence. Salopette offerte dès 2 achats.",
    "Votre colis est arrivé. Suivez-le sur https://colis.example/s/455. Merci !",
    "Votre compte a été crédité. Vérifiez votre solde au *144#.",
)

PORTUGUESE: Final = (
    "O seu código de verificação é 482913. Não o partilhe com ninguém.",
    "Recebeu 2.500,00 MT de João Machava. Novo saldo: 4.120,55 MT. Obrigado por usar o serviço.",
    "Lembrete: consulta com a Dra. Conceição no dia 23/11 às 8h30. Responda SIM para confirmar.",
    "Promoção! 20% de desconto em arroz e óleo até domingo. Visite a loja da Matola.",
    "A sua factura de electricidade é de 1.845 MT. Pague até 30/11 para evitar o corte.",
    "Caro cliente, a sua conta foi creditada com 45.000 Kz. Nunca partilhe o seu PIN.",
    "Reunião de pais na sexta-feira às 15h. Contamos com a sua presença. Computador novo na sala 5.",
)

AMHARIC: Final = (
    "የማረጋገጫ ኮድዎ 482913 ነው። ለማንም አያጋሩ።",
    "ውድ ደንበኛችን፣ ሂሳብዎ ላይ 1,500.00 ብር ገቢ ተደርጓል። እናመሰግናለን።",
    "የወላጆች ስብሰባ ዓርብ ከጠዋቱ 3:00 ሰዓት ይካሄዳል።",
    "ሰላምታ ከድርጅታችን! እስከ እሑድ 20% ቅናሽ አለ።",
)

ARABIC: Final = (
    "رمز التحقق الخاص بك هو 482913. لا تشاركه مع أحد.",
    "عزيزي العميل، تم استلام دفعتك بنجاح. شكرا لك.",
    "تم إيداع ٤٥٠٠ جنيه في حسابك. رصيدك الحالي ٩٢٠٠ جنيه.",
    "تذكير: موعدك مع الطبيب يوم الاثنين الساعة ٨:٣٠ صباحًا. \u200fللإلغاء اتصل بنا.",
    "مَرحباً بكم في متجرنا، خصم ٢٠٪ حتى يوم الأحد.",
)

OTHERS: Final = (
    "Sannu! An karɓi kuɗin ku ₦45,500. Mun gode da hulɗa da mu.",
    "Ẹ káàbọ̀! Owó yín ti wọlé: ₦5,000. A dúpẹ́.",
    "Murakoze! Twakiriye RWF 4,550. Kode yanyu ni 482913, ntimuyihe undi muntu.",
    "Sawubona! Ikhodi yakho ithi 482913. Ungayabelani namuntu.",
    "Family 👨‍👩‍👧‍👦 from 🇰🇪 says: Hongera! 🎉 Code 5️⃣5️⃣ and the newest \U0001fae8\U0001fadf",
    "Salaan! Waxaad heshay $45 oo ka timid Xasan. Haraagaagu waa $120.55.",
    "Akkam! Koodiin keessan 482913 dha. Nama biraatti hin kenninaa.",
)

ORDINARY: Final = (*ENGLISH, *SWAHILI, *FRENCH, *PORTUGUESE, *AMHARIC, *ARABIC, *OTHERS)
