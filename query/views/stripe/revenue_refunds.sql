-- What was given back, as negative items in the shape of revenue_items. A refund of an invoice's payment is of revenue
-- and tax in the proportion that the invoice has. What only released money that had never been captured is none.
WITH given_back AS (
    SELECT
        refunds.id, refunds.charge, charges.customer, refunds.reason, refunds.created, refunds.amount,
        lower(refunds.currency) AS currency,
        invoices.id AS invoice_id,
        invoices.customer AS invoiced_to,
        invoices.parent ->> '$.subscription_details.subscription' AS subscription_id,
        CASE WHEN invoices.total > 0 THEN
            divided(refunds.amount::HUGEINT * coalesce(invoices.total_excluding_tax, invoices.total), invoices.total)
        END AS without_tax
    FROM refunds
    LEFT JOIN charges ON charges.id = refunds.charge
    LEFT JOIN paid_by
        ON paid_by.payment_id = coalesce(refunds.payment_intent, charges.payment_intent, refunds.charge)
    LEFT JOIN invoices ON invoices.id = paid_by.invoice_id
    WHERE refunds.status IN ('succeeded', 'pending')
        AND (paid_by.payment_id IS NOT NULL OR (SELECT with_charges FROM chosen))
        AND (
            refunds.balance_transaction IS NOT NULL
            OR (coalesce(charges.captured, true) AND coalesce(charges.amount_captured >= charges.amount, true))
        )
)
SELECT
    id AS item_id, 'refund' AS kind, invoice_id, charge AS charge_id, coalesce(invoiced_to, customer) AS customer_id,
    subscription_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id, reason AS description, NULL::BIGINT AS quantity,
    false AS is_recurring, false AS is_proration, currency,
    money(-coalesce(without_tax, amount), currency) AS gross,
    NULL::DECIMAL(38, 3) AS discount,
    money(-coalesce(without_tax, amount), currency) AS amount,
    money(without_tax - amount, currency) AS tax,
    money(-amount, currency) AS total,
    NULL::TIMESTAMPTZ AS period_start,
    NULL::TIMESTAMPTZ AS period_end,
    to_timestamp(created) AS recognized_at
FROM given_back
