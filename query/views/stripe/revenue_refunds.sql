-- What was given back, as negative items in the shape of revenue_items. A refund of an invoice's payment is of revenue
-- and tax in the proportion that the invoice has.
WITH given_back AS (
    SELECT
        refunds.id, refunds.charge, charges.customer, refunds.description, refunds.created, refunds.amount,
        lower(refunds.currency) AS currency,
        invoices.id AS invoice_id,
        invoices.customer AS invoiced_to,
        invoices.parent ->> '$.subscription_details.subscription' AS subscription_id,
        CASE WHEN invoices.total > 0 THEN
            divided(refunds.amount::HUGEINT * coalesce(invoices.total_excluding_tax, invoices.total), invoices.total)
        END AS without_tax
    FROM (SELECT *, reason AS description FROM refunds WHERE status IN ('succeeded', 'pending')) AS refunds
    LEFT JOIN charges ON charges.id = refunds.charge
    LEFT JOIN paid_by
        ON paid_by.payment_id = coalesce(refunds.payment_intent, charges.payment_intent, refunds.charge)
    LEFT JOIN invoices ON invoices.id = paid_by.invoice_id
)
SELECT
    id AS item_id, 'refund' AS kind, invoice_id, charge AS charge_id, coalesce(invoiced_to, customer) AS customer_id,
    subscription_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id, description, NULL::BIGINT AS quantity,
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
