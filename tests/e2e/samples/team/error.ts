{
    "error": string,
    "details": string | null,
    "code": number
}
