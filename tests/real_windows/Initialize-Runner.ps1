<#
.SYNOPSIS
    A throw-away Windows Server has what Ansible expects of a host: WinRM over HTTPS with a certificate, and an account.
.DESCRIPTION
    For .github/workflows/real-windows.yml only, and never yet run. It makes an
    administrator: not for a machine that is kept.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Folder
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
New-Item -ItemType Directory -Path $Folder -Force | Out-Null

function Export-Pem {
    param($Certificate, [string]$Path)

    $base64 = [Convert]::ToBase64String($Certificate.RawData, 'InsertLineBreaks')
    [System.IO.File]::WriteAllText($Path, "-----BEGIN CERTIFICATE-----`n$base64`n-----END CERTIFICATE-----`n")
}

$store = 'Cert:\LocalMachine\My'
$winrm = New-SelfSignedCertificate -DnsName 'localhost' -CertStoreLocation $store
Export-Pem -Certificate $winrm -Path (Join-Path -Path $Folder -ChildPath 'winrm-ca.pem')

$bytes = New-Object -TypeName byte[] -ArgumentList 24
[System.Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($bytes)
$password = 'Aa1!' + [Convert]::ToBase64String($bytes)
[System.IO.File]::WriteAllText((Join-Path -Path $Folder -ChildPath 'windows-password'), $password)
New-LocalUser -Name 'ansible' -Password (ConvertTo-SecureString -String $password -AsPlainText -Force)
Add-LocalGroupMember -SID 'S-1-5-32-544' -Member 'ansible'

Enable-PSRemoting -Force -SkipNetworkProfileCheck
New-Item -Path 'WSMan:\localhost\Listener' -Transport HTTPS -Address '*' -CertificateThumbPrint $winrm.Thumbprint -Force
