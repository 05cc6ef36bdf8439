-- Which paid invoice a payment was for, by the id of its payment intent, or of its charge where it has no intent. Null
-- where it was for several.
SELECT
    coalesce(payment ->> '$.payment_intent', payment ->> '$.charge') AS payment_id,
    CASE WHEN count(DISTINCT invoice) = 1 THEN any_value(invoice) END AS invoice_id
FROM invoice_payments
WHERE status = 'paid' AND invoice IN (SELECT id FROM invoices WHERE status = 'paid')
GROUP BY payment_id
