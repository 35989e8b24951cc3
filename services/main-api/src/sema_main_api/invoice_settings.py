"""The knobs of invoices: who sends them, what they are numbered and taxed by, and when their payment is asked for."""

from decimal import Decimal, InvalidOperation

from pydantic import Field, field_validator

from sema_common.billing.invoices.rules import Dunning, Issuer, Terms
from sema_common.platform.settings import ServiceSettings


def _rates(text: str) -> dict[str, Decimal]:
    """`KE=16` as {"KE": 0.16}; ValueError for anything else."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    try:
        return {country.strip().upper(): Decimal(rate) / 100 for country, _, rate in pairs}
    except InvalidOperation:
        raise ValueError("not a rate in percent") from None


def _days(text: str) -> list[int]:
    return [int(day) for day in text.split(",") if day.strip()]


class InvoiceSettings(ServiceSettings):
    issuer_name: str = Field(
        default="Sema Link Ltd", description="Who sends invoices: the name printed on them."
    )
    issuer_address: str = Field(
        default="Nairobi, Kenya", description="Its address; lines are separated by |."
    )
    issuer_tax_pin: str = Field(default="", description="Its tax PIN.")
    issuer_vat_number: str = Field(default="", description="Its VAT number, where it differs from the PIN.")
    issuer_email: str = Field(
        default="billing@semalink.africa", description="Where questions about invoices go."
    )
    issuer_pay_bill: str = Field(default="", description="The M-Pesa pay-bill number printed on invoices.")
    issuer_bank: str = Field(
        default="", description="Bank details printed on invoices; lines are separated by |."
    )
    invoice_series: str = Field(
        default="SL",
        pattern="^[A-Z0-9]{1,10}$",
        description="What invoice numbers begin with; one per issuer.",
    )
    invoice_due_days: int = Field(
        default=14, ge=0, le=120, description="Days that a postpaid customer has to pay."
    )
    invoice_reminder_days: str = Field(
        default="3,10,20", description="Days after the due date on which reminders go out, comma separated."
    )
    vat_rates: str = Field(
        default="KE=16",
        description="VAT in percent by the customer's country, comma separated; a country without one is an export: 0.",
    )

    @property
    def invoice_terms(self) -> Terms:
        issuer = Issuer(
            self.issuer_name,
            self.issuer_address.replace("|", "\n"),
            self.issuer_tax_pin,
            self.issuer_vat_number,
            self.issuer_email,
            self.issuer_pay_bill,
            self.issuer_bank.replace("|", "\n"),
        )
        dunning = Dunning(_days(self.invoice_reminder_days))
        return Terms(issuer, self.invoice_series, _rates(self.vat_rates), self.invoice_due_days, dunning)

    @field_validator("vat_rates")
    @classmethod
    def _are_rates(cls, value: str) -> str:
        if not all(len(country) == 2 and 0 <= rate < 1 for country, rate in _rates(value).items()):
            raise ValueError("rates are written KE=16,UG=18")
        return value

    @field_validator("invoice_reminder_days")
    @classmethod
    def _are_days(cls, value: str) -> str:
        days = _days(value)
        if days != sorted(set(days)) or any(day < 1 for day in days):
            raise ValueError("days grow, from 1")
        return value
