-- What was paid for, an item each: amounts in the smallest unit, times in seconds. The items of a paid invoice add up to
-- its total, whatever it has beside the lines that are there: shipping, and lines behind the tenth.
WITH paid AS (
    SELECT
        id, customer, lower(currency) AS currency, total,
        coalesce(total_excluding_tax, total - coalesce(list_sum((total_taxes -> '$[*].amount')::BIGINT[]), 0)) AS amount,
        coalesce(list_sum((total_discount_amounts -> '$[*].amount')::BIGINT[]), 0) AS discount,
        parent ->> '$.subscription_details.subscription' AS subscription_id,
        coalesce(
            (status_transitions ->> '$.paid_at')::BIGINT, (status_transitions ->> '$.finalized_at')::BIGINT, created
        ) AS paid_at
    FROM invoices
    WHERE status = 'paid'
),
lines AS (
    SELECT
        line_id AS item_id, 'invoice_line' AS kind, invoice_id, NULL::VARCHAR AS charge_id, paid.customer AS customer_id,
        invoice_lines.subscription_id, product_id, price_id, description, quantity, is_recurring,
        is_proration, invoice_lines.currency, gross - invoice_lines.discount AS amount, invoice_lines.discount, tax,
        period_start, period_end, paid_at AS recognized_at
    FROM invoice_lines JOIN paid ON paid.id = invoice_id
),
sums AS (
    SELECT invoice_id, sum(amount) AS amount, sum(discount) AS discount, sum(tax) AS tax FROM lines GROUP BY invoice_id
),
rest AS (
    SELECT
        paid.id || ':rest' AS item_id, 'invoice_rest' AS kind, paid.id AS invoice_id, NULL::VARCHAR AS charge_id,
        customer AS customer_id, subscription_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id,
        'Rest of the invoice' AS description, NULL::BIGINT AS quantity, false AS is_recurring, false AS is_proration,
        currency,
        (paid.amount - coalesce(sums.amount, 0))::BIGINT AS amount,
        (paid.discount - coalesce(sums.discount, 0))::BIGINT AS discount,
        (total - paid.amount - coalesce(sums.tax, 0))::BIGINT AS tax,
        NULL::BIGINT AS period_start, NULL::BIGINT AS period_end, paid_at AS recognized_at
    FROM paid LEFT JOIN sums ON sums.invoice_id = paid.id
),
without_invoice AS (
    SELECT
        id AS item_id, 'charge' AS kind, NULL::VARCHAR AS invoice_id, id AS charge_id, customer AS customer_id,
        NULL::VARCHAR AS subscription_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id, description,
        NULL::BIGINT AS quantity, false AS is_recurring, false AS is_proration, lower(currency) AS currency,
        coalesce(amount_captured, amount) AS amount, NULL::BIGINT AS discount, NULL::BIGINT AS tax,
        NULL::BIGINT AS period_start, NULL::BIGINT AS period_end, created AS recognized_at
    FROM charges
    WHERE status = 'succeeded' AND paid AND captured
        AND coalesce(payment_intent, id) NOT IN (SELECT payment_id FROM paid_by WHERE payment_id IS NOT NULL)
)
SELECT * FROM lines
UNION ALL
SELECT * FROM rest WHERE amount <> 0 OR tax <> 0
UNION ALL
SELECT * FROM without_invoice
